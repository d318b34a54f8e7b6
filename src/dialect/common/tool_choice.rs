//! Decodes the `tool_choice` values that Chat Completions and Responses share. Pure.

use crate::codec::json::{self, Raw};
use crate::dialect::hub::ToolChoice;
use crate::error::Error;

/// Decodes a `tool_choice` that is a string.
///
/// # Errors
/// `InvalidValue` naming `tool_choice` for any other string.
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
