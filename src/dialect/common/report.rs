//! The report of a translation: the parameters it left out and those it changed. Pure.

use crate::codec::json::Object;
use crate::error::Error;

/// Appends the names of the fields of an object, with `path` in front, as in `messages.name`.
/// Fields that are null are skipped.
pub fn name_members(object: &Object<'_>, path: &str, names: &mut Vec<String>) {
    let said = object
        .fields
        .iter()
        .filter(|field| field.value.get() != "null");
    names.extend(said.map(|field| format!("{path}.{}", field.name)));
}

/// What a translation did to the parameters of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TranslationReport {
    /// Names of parameters that were left out.
    pub dropped: Vec<String>,
    /// Names of parameters whose value was changed to what the provider accepts, or whose effect is
    /// achieved in another way.
    pub changed: Vec<String>,
}

impl TranslationReport {
    /// Reports the fields of an object at `path` that the provider has no counterpart for.
    pub fn drop_members(&mut self, object: &Object<'_>, path: &str) {
        name_members(object, path, &mut self.dropped);
    }

    /// Sorts the names and removes duplicates.
    pub fn dedup(&mut self) {
        for names in [&mut self.dropped, &mut self.changed] {
            names.sort_unstable();
            names.dedup();
        }
    }

    /// Replaces every name by the result of `own`, the client dialect's name for it.
    pub fn rename(&mut self, own: impl Fn(&str) -> String) {
        for names in [&mut self.dropped, &mut self.changed] {
            for name in names.iter_mut() {
                *name = own(name);
            }
        }
        self.dedup();
    }

    /// Refuses the request if anything was left out or changed. This is strict mode.
    ///
    /// # Errors
    /// `UnsupportedParameter` with the names; the first is its `param`.
    pub fn require_lossless(&self) -> Result<(), Error> {
        /// Maximum number of further names in the message.
        const MOST: usize = 50;
        let mut names = self.dropped.iter().chain(&self.changed);
        let Some(first) = names.next() else {
            return Ok(());
        };
        let others: Vec<_> = names.map(String::as_str).collect();
        let others = match others.get(..MOST) {
            _ if others.is_empty() => String::new(),
            Some(some) if others.len() > MOST => format!(
                " The same holds for {} and {} more.",
                some.join(", "),
                others.len() - MOST
            ),
            _ => format!(" The same holds for {}.", others.join(", ")),
        };
        Err(Error::unsupported(
            first.as_str(),
            format!(
                "it cannot be given to this provider as it is, and strict translation was asked for.{others}"
            ),
        ))
    }
}
