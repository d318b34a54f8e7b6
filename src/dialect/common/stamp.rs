//! Times and ids for translated answers. Pure.

/// Where times and ids of a translated answer come from, so that translation stays pure.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// When the answer was created, in seconds since 1970.
    pub created: u64,
    /// Where minted ids start from; random in service.
    pub seed: u128,
    /// The time now, in seconds since 1970.
    pub now: fn() -> u64,
}

impl Stamp {
    /// An id of our own: the prefix and 24 hexadecimal digits, different for each `n`.
    #[must_use]
    pub fn id(&self, prefix: &str, n: u64) -> String {
        let value = self.seed.wrapping_add(u128::from(n)) & ((1 << 96) - 1);
        format!("{prefix}{value:024x}")
    }
}
