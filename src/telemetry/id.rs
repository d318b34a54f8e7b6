//! Ids of requests, traces and spans: random, and made without a system call each.

use std::cell::Cell;

use bytes::Bytes;

thread_local! {
    static STATE: Cell<u64> = Cell::new(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15));
}

/// A random number that is no secret: `SplitMix64` from a random start on each thread.
fn random() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number to make ids from.
#[must_use]
pub fn seed() -> u128 {
    (u128::from(random()) << 64) | u128::from(random())
}

/// The id of a request: 32 hexadecimal digits.
pub(super) fn request() -> Bytes {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = Vec::with_capacity(32);
    for byte in seed().to_be_bytes() {
        for nibble in [byte >> 4, byte & 15] {
            out.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
        }
    }
    out.into()
}

/// The id of a trace; never 0, which means none.
pub(super) fn trace() -> u128 {
    (u128::from(random()) << 64) | u128::from(random() | 1)
}

/// The id of a span; never 0, which means none.
pub(super) fn span() -> u64 {
    random().max(1)
}

/// A number from 0 to 1, evenly spread.
pub(super) fn fraction() -> f64 {
    f64::from(u32::try_from(random() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_have_their_length() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| request()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
