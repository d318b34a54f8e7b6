//! The findings about a response that can be relayed unchanged. Pure.

use crate::dialect::hub::Usage;

/// A response in which nothing has to be repaired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conformant {
    /// The token usage; `None` if the provider reported none.
    pub usage: Option<Usage>,
}
