//! Which call a fragment of a stream belongs to, whatever a provider writes into its index. Pure.

use std::collections::HashMap;

use serde::de::IgnoredAny;

use super::loose::call_id;

/// The calls of one streamed choice.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Open>,
    by_index: HashMap<u64, usize>,
    by_id: HashMap<String, usize>,
    told: usize,
}

/// A call that was begun.
#[derive(Debug, Default)]
struct Open {
    id: Option<String>,
    name: Option<String>,
    /// Its position among the calls that the client knows, once its name came, and its id there.
    told: Option<(usize, String)>,
    /// The arguments so far.
    text: String,
}

/// A fragment as it came.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fragment<'f> {
    pub index: Option<u64>,
    pub id: Option<&'f str>,
    pub name: Option<&'f str>,
    pub arguments: &'f str,
}

/// A fragment as the client is to have it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Dense from 0, in the order in which the calls got their names.
    pub index: usize,
    /// The id and the name, with the first fragment only.
    pub begins: Option<(String, String)>,
    /// JSON text, cut anywhere.
    pub arguments: String,
}

impl Open {
    /// Whether a fragment with this name begins another call: a different function, or the same
    /// once more after its arguments were complete.
    fn is_over(&self, name: Option<&str>) -> bool {
        let Some(name) = name else {
            return false;
        };
        self.name.as_deref().is_some_and(|own| {
            own != name
                || (!self.text.is_empty() && serde_json::from_str::<IgnoredAny>(&self.text).is_ok())
        })
    }
}

impl Calls {
    /// Takes a fragment. `None` where it is kept until the call's name comes.
    ///
    /// `answer` is the id of the answer, of which ids are made where there are none. `positional`
    /// says that the provider's ids are positions, as in `call_0`, and no ids.
    pub(super) fn take(
        &mut self,
        fragment: Fragment<'_>,
        answer: Option<&str>,
        positional: bool,
    ) -> Option<Told> {
        let id = fragment.id.filter(|id| !id.is_empty() && *id != "null");
        let name = fragment.name.filter(|name| !name.is_empty());
        let at = self.position(fragment.index, id, name).unwrap_or_else(|| {
            self.calls.push(Open::default());
            self.calls.len() - 1
        });
        if let Some(index) = fragment.index {
            self.by_index.insert(index, at);
        }
        let next = self.told;
        // Two calls of one id would be one to the client.
        let taken = id.is_some_and(|id| self.ids().any(|told| told == id));
        let open = self.calls.get_mut(at)?;
        if let (None, Some(id)) = (&open.id, id) {
            self.by_id.insert(id.to_owned(), at);
            open.id = Some(id.to_owned());
        }
        open.text.push_str(fragment.arguments);
        if let Some((index, _)) = open.told {
            return Some(Told {
                index,
                begins: None,
                arguments: fragment.arguments.to_owned(),
            });
        }
        // What comes before the name is told with it.
        let name = name?.to_owned();
        let id = open
            .id
            .clone()
            .filter(|id| !(taken || (positional && is_position(id))))
            .unwrap_or_else(|| call_id(answer, next));
        open.told = Some((next, id.clone()));
        open.name = Some(name.clone());
        self.told += 1;
        Some(Told {
            index: next,
            begins: Some((id, name)),
            arguments: open.text.clone(),
        })
    }

    /// Which of our calls a fragment belongs to; `None` for a new one.
    fn position(&self, index: Option<u64>, id: Option<&str>, name: Option<&str>) -> Option<usize> {
        let by_id = id.and_then(|id| self.by_id.get(id).copied());
        let at = match index {
            Some(index) => {
                let at = *self.by_index.get(&index)?;
                let known = self.calls.get(at).and_then(|open| open.id.as_deref());
                // Several providers give every call index 0; a different id is a different call.
                if known.is_some() && id.is_some() && known != id {
                    return by_id;
                }
                at
            }
            None if id.is_some() => return by_id,
            None => self.calls.len().checked_sub(1)?,
        };
        (!self.calls.get(at)?.is_over(name)).then_some(at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Whether a call never got a name.
    pub(super) fn has_nameless(&self) -> bool {
        self.calls.iter().any(|call| call.told.is_none())
    }

    /// The positions of the calls without any arguments, which are to be told as `{}`.
    pub(super) fn without_arguments(&self) -> Vec<usize> {
        self.calls
            .iter()
            .filter(|call| call.text.trim().is_empty())
            .filter_map(|call| call.told.as_ref().map(|(index, _)| *index))
            .collect()
    }

    /// The ids that the client knows.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.calls
            .iter()
            .filter_map(|call| call.told.as_ref().map(|(_, id)| id.as_str()))
    }
}

/// `call_0`: a position in its answer, the same in each.
pub(super) fn is_position(id: &str) -> bool {
    id.strip_prefix("call_")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}
