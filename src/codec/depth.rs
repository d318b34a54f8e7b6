//! Finds JSON that is nested deeper than the parser allows, without parsing it. Pure.

use memchr::{memchr2, memchr2_iter};

/// The deepest nesting of a request body, in levels.
///
/// It is one less than the JSON parser's limit, so that an accepted body can also be parsed as a
/// tree.
pub const MAX_DEPTH: usize = 127;

/// The top-level field in which the text is nested deeper than [`MAX_DEPTH`]; an empty string if it
/// is in no field, `None` if nothing is.
///
/// The JSON parser skips values without counting levels, so that it would not notice in a relayed
/// body.
pub(super) fn too_deep(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    // Most bodies have too few brackets to be nested that deep; counting them is cheap.
    memchr2_iter(b'{', b'[', bytes).nth(MAX_DEPTH)?;
    let mut depth = 0_usize;
    let mut key = "";
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let start = at + 1;
                let mut from = start;
                let end = loop {
                    let Some(hit) = bytes
                        .get(from..)
                        .and_then(|rest| memchr2(b'"', b'\\', rest))
                    else {
                        return None; // an unterminated string: the parser reports it
                    };
                    if bytes.get(from + hit) == Some(&b'"') {
                        break from + hit;
                    }
                    from += hit + 2;
                };
                let rest = bytes.get(end + 1..).unwrap_or_default();
                if depth == 1 && rest.trim_ascii_start().first() == Some(&b':') {
                    key = text.get(start..end).unwrap_or_default();
                }
                at = end;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(key.to_owned());
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}
