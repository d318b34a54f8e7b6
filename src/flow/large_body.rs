//! Runs the work on large request bodies on other threads, within the memory for bodies. That work
//! takes memory by the number of JSON values more than by the length.

use std::sync::Arc;

use bytes::Bytes;
use memchr::{memchr, memchr2};

use super::body_memory::{BodyMemory, BodyReservation};
use crate::error::Error;
use crate::offload::{self, LARGE};
use crate::secret::CallerId;

/// Memory that one JSON value takes while it is translated, output included, in bytes.
const PER_VALUE: usize = 160;

/// Runs `work` on a body; on another thread if the body is large.
///
/// # Errors
/// `BodyMemoryExhausted` or `BodyTooComplex` if the work needs more memory than is available; else
/// the error of `work`.
pub(super) async fn on_body<T: Send + 'static>(
    body: &Bytes,
    bodies: &Arc<BodyMemory>,
    caller: CallerId,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if body.len() <= LARGE {
        return work();
    }
    let (body, bodies) = (body.clone(), Arc::clone(bodies));
    let length = body.len();
    offload::run(length, move || {
        let _held = room_for(&body, &bodies, caller)?;
        work()
    })
    .await
}

/// Reserves the memory that the work needs in addition to the body itself.
fn room_for(
    body: &[u8],
    bodies: &Arc<BodyMemory>,
    caller: CallerId,
) -> Result<BodyReservation, Error> {
    let needed = body
        .len()
        .saturating_add(values(body).saturating_mul(PER_VALUE));
    if needed > bodies.most() {
        return Err(Error::BodyTooComplex {
            needed,
            limit: bodies.most(),
        });
    }
    let mut held = bodies.hold(caller);
    held.grow(needed)?;
    Ok(held)
}

/// The approximate number of values in a JSON text: its commas and opening brackets outside
/// strings.
fn values(mut text: &[u8]) -> usize {
    let mut count = 0;
    while let Some(quote) = memchr(b'"', text) {
        let (before, string) = text.split_at(quote);
        count += separators(before);
        text = after_string(string.get(1..).unwrap_or_default());
    }
    count + separators(text)
}

fn separators(text: &[u8]) -> usize {
    text.iter()
        .filter(|byte| matches!(byte, b',' | b'[' | b'{'))
        .count()
}

/// The text after the end of a string; `text` begins inside the string.
fn after_string(mut text: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', text) {
        let escaped = text.get(at) == Some(&b'\\');
        text = text
            .get(at + 1 + usize::from(escaped)..)
            .unwrap_or_default();
        if !escaped {
            return text;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> CallerId {
        CallerId::of("me")
    }

    #[test]
    fn values_are_counted_and_what_stands_in_strings_is_not() {
        assert_eq!(values(br#"{"a,[": "\",{\\", "b": [1, {}]}"#), 5);
        assert_eq!(values(br#"{"a": "never ended, \"#), 1);
        assert_eq!(values(b"[,,,"), 4);
    }

    #[test]
    fn a_crowded_body_takes_more_room_than_a_plain_one() {
        let bodies = BodyMemory::new(100 << 20);
        let plain = format!("\"{}\"", "x".repeat(10 << 20));
        let crowded = "{},".repeat(1 << 20);
        let room = |body: &str| room_for(body.as_bytes(), &bodies, who());
        drop(room(&plain).unwrap());
        let refused = room(&crowded).unwrap_err();
        assert!(matches!(refused, Error::BodyTooComplex { .. }), "{refused}");
        let _first = room(&plain).unwrap();
        let mut all: Vec<_> = std::iter::from_fn(|| room(&plain).ok()).collect();
        assert_eq!(room(&plain).unwrap_err(), Error::BodyMemoryExhausted);
        all.pop();
        assert!(room(&plain).is_ok());
    }
}
