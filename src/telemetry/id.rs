//! Random ids of requests, traces and spans, without a system call for each.

use std::cell::Cell;

use bytes::Bytes;

thread_local! {
    static STATE: Cell<u64> = Cell::new(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15));
}

/// A random number that must not be used for secrets: `SplitMix64`, randomly seeded per thread.
fn random() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random number to derive ids from; not secret.
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

/// A random trace id; never 0, which is invalid.
pub(super) fn trace() -> u128 {
    (u128::from(random()) << 64) | u128::from(random() | 1)
}

/// A random span id; never 0, which is invalid.
pub(super) fn span() -> u64 {
    random().max(1)
}

/// A random number from 0 to 1, uniformly distributed.
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
