//! Corrects `usage` to OpenAI's arithmetic. Pure.

use serde_json::value::RawValue;

use super::super::usage::check_usage;
use crate::codec::json::{self, Object, put, raw};

/// The corrected usage: reasoning counts as completion, the total is the sum, and cached tokens are
/// in the details. `None` if nothing is wrong.
pub(super) fn fixed(usage: &RawValue) -> Option<Box<RawValue>> {
    let (read, exact) = check_usage(usage)?;
    if exact {
        return None;
    }
    let mut object = Object::from_raw(usage, &"usage").ok()?;
    let number = |object: &Object<'_>, name: &str| {
        object
            .get(name)
            .and_then(|value| json::read::<u64>(value, &name).ok())
    };
    let mut changed = false;
    for (name, right) in [
        ("prompt_tokens", read.prompt),
        ("completion_tokens", read.completion),
        ("total_tokens", read.total()),
    ] {
        if number(&object, name) != Some(right) {
            put(&mut object, name, raw(&right));
            changed = true;
        }
    }
    if read.cached > 0 {
        let details = object.get("prompt_tokens_details").cloned();
        let mut details = details
            .as_ref()
            .and_then(|details| json::lenient_object(details, &"usage").ok())
            .unwrap_or_default();
        if number(&details, "cached_tokens") != Some(read.cached) {
            put(&mut details, "cached_tokens", raw(&read.cached));
            put(&mut object, "prompt_tokens_details", raw(&details));
            changed = true;
        }
    }
    changed.then(|| raw(&object))
}
