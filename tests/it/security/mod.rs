//! Hostile callers and providers, and the walls between callers.

mod hostile;
mod isolation;
mod tls;
