//! The wire formats (dialects), and the hub they are translated through. Pure: no clock, no
//! network.
//!
//! A client speaks Chat Completions or Responses. A provider speaks Chat Completions, Responses or
//! Messages. If the two differ, a request is translated client -> hub -> provider, and the response
//! takes the same path back. A dialect imports no other dialect; code that dialects share is in
//! `common`.

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
