//! The static table of providers, one row each, and the bundled catalogue of models.

mod catalogue;
mod chat;
mod lookup;
mod members;
mod mode;
mod row;
mod table;

pub use catalogue::{CATALOGUE_DATE, CatalogueModel, catalogue};
pub use lookup::{by_key, by_name};
pub use mode::{ClientApi, Mode, mode};
pub use row::{ALWAYS_FORWARDED, Auth, ChatApi, Provider, ResponsesRequired, ResponsesSupport};
pub use table::PROVIDERS;
