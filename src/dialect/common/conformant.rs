//! What is known of an answer that can be relayed as it is. Pure.

use crate::dialect::hub::Usage;

/// An answer in which nothing is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conformant {
    /// The tokens that the provider counted.
    pub usage: Option<Usage>,
}
