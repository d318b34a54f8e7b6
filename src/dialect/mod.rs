//! The wire formats, and the hub they meet in. Pure: no clock, no network.
//!
//! A client speaks Chat Completions or Responses, a provider Chat Completions or Messages. Where the
//! two differ, a request goes client -> hub -> provider, and the answer back the same way. A dialect
//! imports no other dialect; what dialects share is in `common`.

pub mod anthropic;
mod common;
mod decoder;
pub mod hub;
pub mod models;
pub mod openai;
pub mod responses;
mod traits;

pub use common::call_ids::CallIds;
pub use common::conformant::Conformant;
pub use common::error_body::{envelope, read_error};
pub use common::error_in_success::whole_error;
pub use common::provider_error::{client_status, position_of, provider_error, redact_error};
pub use common::report::TranslationReport;
pub use common::stamp::Stamp;
pub use decoder::{DecodedBody, ResponseDecoder};
pub use traits::{
    ClientDialect, EncodedRequest, ProviderDialect, RecoveredRequest, Relay, StreamDecoder,
    StreamEncoder,
};
