//! Times and ids of translated responses. Pure.

/// The source of times and ids for a translated response, passed in so that translation stays pure.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Creation time of the response, in seconds since 1970.
    pub created: u64,
    /// Start value of generated ids. It is random outside tests.
    pub seed: u128,
    /// Returns the current time, in seconds since 1970.
    pub now: fn() -> u64,
}

impl Stamp {
    /// Generates an id: the prefix and 24 hexadecimal digits, different for each `n`.
    #[must_use]
    pub fn id(&self, prefix: &str, n: u64) -> String {
        let value = self.seed.wrapping_add(u128::from(n)) & ((1 << 96) - 1);
        format!("{prefix}{value:024x}")
    }
}
