//! Code that dialects share: errors, reports, tool call ids, and small state machines over text.
//! Pure.

pub(in crate::dialect) mod call_ids;
pub(in crate::dialect) mod conformant;
pub(in crate::dialect) mod delta_template;
pub(in crate::dialect) mod error_body;
pub(in crate::dialect) mod error_in_success;
pub(in crate::dialect) mod fence;
pub(in crate::dialect) mod provider_error;
pub(in crate::dialect) mod reasoning_format;
pub(in crate::dialect) mod report;
pub(in crate::dialect) mod stamp;
pub(in crate::dialect) mod tool_choice;
pub(in crate::dialect) mod tool_results;
