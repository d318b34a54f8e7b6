//! `tool_choice` as Chat Completions and Responses both have it. Pure.

use crate::codec::json::{self, Raw};
use crate::dialect::hub::ToolChoice;
use crate::error::Error;

/// Reads a `tool_choice` that is one word.
///
/// # Errors
/// `InvalidValue` naming `tool_choice` for any other word.
pub(in crate::dialect) fn read_word<'a>(raw: &Raw<'a>) -> Result<ToolChoice<'a>, Error> {
    const AT: &str = "tool_choice";
    let word = json::text(raw, &AT)?;
    match &*word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        other => Err(Error::invalid(
            AT,
            format!("'{other}' is none of auto, none, required."),
        )),
    }
}
