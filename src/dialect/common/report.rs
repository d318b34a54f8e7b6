//! What a translation left out of a request, and what it changed. Pure.

use crate::codec::json::Object;
use crate::error::Error;

/// Adds the names of the members of an object that stands at `path`, as in `messages.name`. A member
/// that is null says nothing and is not named.
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
    /// Names of parameters whose value was brought within the provider's limits, or whose effect
    /// is sought by other means.
    pub changed: Vec<String>,
}

impl TranslationReport {
    /// Names the members of an object that stands at `path` and that the provider has no place for.
    pub fn drop_members(&mut self, object: &Object<'_>, path: &str) {
        name_members(object, path, &mut self.dropped);
    }

    /// Sorts the names and takes out repetitions.
    pub fn dedup(&mut self) {
        for names in [&mut self.dropped, &mut self.changed] {
            names.sort_unstable();
            names.dedup();
        }
    }

    /// Gives every name as `own` tells it.
    pub fn rename(&mut self, own: impl Fn(&str) -> String) {
        for names in [&mut self.dropped, &mut self.changed] {
            for name in names.iter_mut() {
                *name = own(name);
            }
        }
        self.dedup();
    }

    /// Refuses a request that did not go through as it was.
    ///
    /// # Errors
    /// `UnsupportedParameter` with all names, the first as its `param`.
    pub fn refuse(&self) -> Result<(), Error> {
        /// Most other names that an error repeats.
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
