//! Assigns fragments of streamed tool calls to calls, whatever `index` they carry. Pure.

use std::collections::HashMap;

use super::lenient::call_id;

/// The tool calls of one streamed choice.
#[derive(Debug, Default)]
pub(super) struct CallAssembler {
    calls: Vec<OpenCall>,
    by_index: HashMap<u64, usize>,
    by_id: HashMap<String, usize>,
    told: usize,
    /// The size of the stream data that is buffered here, in bytes.
    held: usize,
}

/// A tool call that has begun.
#[derive(Debug, Default)]
struct OpenCall {
    id: Option<String>,
    name: Option<String>,
    /// Its index and id as the client sees them; `None` until the name has come.
    told: Option<(usize, String)>,
    /// Arguments that arrived before the name.
    early: String,
    /// How far the arguments have been scanned.
    scan: JsonEndScan,
    /// A call of a custom tool, whose input is free text and no JSON arguments.
    custom: bool,
}

/// Scans a JSON text only to detect its end.
#[derive(Debug, Default, Clone, Copy)]
struct JsonEndScan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    any: bool,
}

impl JsonEndScan {
    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            self.any |= !byte.is_ascii_whitespace();
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_complete(self) -> bool {
        self.any && self.depth == 0 && !self.in_string
    }
}

/// A fragment of a tool call as the provider sent it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fragment<'f> {
    pub index: Option<u64>,
    pub id: Option<&'f str>,
    pub name: Option<&'f str>,
    pub arguments: &'f str,
}

/// A fragment of a tool call as the client gets it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFragment {
    /// Dense from 0, in the order in which the calls got their names.
    pub index: usize,
    /// The id and the name; only in the first fragment of a call.
    pub begins: Option<(String, String)>,
    /// A further piece of the name.
    pub name: Option<String>,
    /// A piece of the arguments' JSON text, cut anywhere.
    pub arguments: String,
    /// Whether the call's arguments are complete.
    pub whole: bool,
}

impl OpenCall {
    /// Whether a fragment starts another call: another name, or the same name again with arguments
    /// after this call's arguments are complete. A fragment that repeats the call's id, brings
    /// nothing, or continues the name does not.
    fn starts_new_call(
        &self,
        fragment: Fragment<'_>,
        id: Option<&str>,
        name: Option<&str>,
    ) -> bool {
        let (Some(name), Some(own)) = (name, self.name.as_deref()) else {
            return false;
        };
        let same_id = id.is_some() && self.id.as_deref() == id;
        let complete = self.scan.is_complete();
        if own == name {
            return !same_id && !fragment.arguments.is_empty() && complete;
        }
        // A name may come in pieces, as arguments do. A fragment with the call's id or index
        // continues it until its arguments are complete.
        let goes_on = same_id || (id.is_none() && fragment.index.is_some());
        complete || !goes_on
    }
}

/// The largest number of tool calls in one response.
const MAX_CALLS: usize = 1000;
const TOO_MANY: &str = "it has too many calls";

impl CallAssembler {
    /// Processes a fragment. `None` if it is buffered until the call's name comes.
    ///
    /// `answer` is the id of the response, from which missing call ids are made. `positional` means
    /// that the provider's ids are mere positions, such as `call_0`, and must be replaced.
    ///
    /// # Errors
    /// What is wrong with the fragment, if the response cannot continue.
    pub(super) fn take(
        &mut self,
        fragment: Fragment<'_>,
        answer: Option<&str>,
        positional: bool,
    ) -> Result<Option<ClientFragment>, &'static str> {
        let id = fragment.id.filter(|id| !id.is_empty() && *id != "null");
        let name = fragment.name.filter(|name| !name.is_empty());
        let at = match self.position(fragment, id, name) {
            Some(at) => at,
            None if self.calls.len() >= MAX_CALLS => return Err(TOO_MANY),
            None => {
                self.calls.push(OpenCall::default());
                self.calls.len() - 1
            }
        };
        if let Some(index) = fragment.index {
            self.by_index.insert(index, at);
        }
        let next = self.told;
        // The client would take two calls with one id for one call.
        let taken = id.is_some_and(|id| self.by_id.get(id).is_some_and(|&known| known != at));
        let Some(open) = self.calls.get_mut(at) else {
            return Ok(None);
        };
        if let (None, Some(id)) = (&open.id, id) {
            self.by_id.entry(id.to_owned()).or_insert(at);
            open.id = Some(id.to_owned());
            self.held += 3 * id.len();
        }
        open.scan.push(fragment.arguments);
        let whole = open.scan.is_complete();
        if let Some((index, _)) = open.told {
            let piece = name.filter(|name| !open.custom && open.name.as_deref() != Some(*name));
            if let Some(piece) = piece {
                open.name.get_or_insert_default().push_str(piece);
                self.held += piece.len();
            }
            return Ok(Some(ClientFragment {
                index,
                begins: None,
                name: piece.map(str::to_owned),
                arguments: fragment.arguments.to_owned(),
                whole,
            }));
        }
        // Arguments that came before the name are sent with it.
        open.early.push_str(fragment.arguments);
        self.held += fragment.arguments.len();
        let Some(name) = name.map(str::to_owned) else {
            return Ok(None);
        };
        let id = open
            .id
            .clone()
            .filter(|id| !(taken || (positional && is_position(id))))
            .unwrap_or_else(|| call_id(answer, next));
        open.told = Some((next, id.clone()));
        open.name = Some(name.clone());
        self.told += 1;
        let arguments = std::mem::take(&mut open.early);
        self.held = self.held.saturating_sub(arguments.len()) + name.len();
        Ok(Some(ClientFragment {
            index: next,
            begins: Some((id, name)),
            name: None,
            arguments,
            whole,
        }))
    }

    /// The size of the stream data that is buffered here, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Registers a call of a custom tool, which is relayed unchanged, so that no other call gets
    /// its position.
    ///
    /// # Errors
    /// What is wrong, if the response cannot continue.
    pub(super) fn custom(
        &mut self,
        index: Option<u64>,
        id: Option<&str>,
    ) -> Result<(), &'static str> {
        let known = index.and_then(|index| self.by_index.get(&index)).copied();
        if known.is_some() {
            return Ok(());
        }
        if self.calls.len() >= MAX_CALLS {
            return Err(TOO_MANY);
        }
        let at = self.calls.len();
        if let Some(index) = index {
            self.by_index.insert(index, at);
        }
        let id = id.unwrap_or_default().to_owned();
        self.held += 2 * id.len();
        self.calls.push(OpenCall {
            id: Some(id.clone()),
            told: Some((self.told, id)),
            custom: true,
            ..OpenCall::default()
        });
        self.told += 1;
        Ok(())
    }

    /// The position of the call that a fragment belongs to; `None` if it starts a new call.
    fn position(
        &self,
        fragment: Fragment<'_>,
        id: Option<&str>,
        name: Option<&str>,
    ) -> Option<usize> {
        let by_id = id.and_then(|id| self.by_id.get(id).copied());
        let at = match fragment.index {
            Some(index) => {
                let at = *self.by_index.get(&index)?;
                let known = self.calls.get(at).and_then(|open| open.id.as_deref());
                // Several providers give every call index 0; a different id is a different call.
                if known.is_some() && id.is_some() && known != id {
                    return by_id;
                }
                at
            }
            None if id.is_some() => by_id?,
            None => self.calls.len().checked_sub(1)?,
        };
        (!self.calls.get(at)?.starts_new_call(fragment, id, name)).then_some(at)
    }

    /// The client's id of the call at the provider's `index`, or of the last call if it is `None`.
    pub(super) fn id_at(&self, index: Option<u64>) -> Option<&str> {
        let at = match index {
            Some(index) => *self.by_index.get(&index)?,
            None => self.calls.len().checked_sub(1)?,
        };
        let (_, id) = self.calls.get(at)?.told.as_ref()?;
        Some(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Whether a call never got a name.
    pub(super) fn has_nameless(&self) -> bool {
        self.calls.iter().any(|call| call.told.is_none())
    }

    /// The indexes of calls that got no arguments, for which `{}` has to be sent.
    pub(super) fn without_arguments(&self) -> Vec<usize> {
        self.calls
            .iter()
            .filter(|call| !call.scan.any && !call.custom)
            .filter_map(|call| call.told.as_ref().map(|(index, _)| *index))
            .collect()
    }

    /// The ids of the calls as the client sees them.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.calls
            .iter()
            .filter_map(|call| call.told.as_ref().map(|(_, id)| id.as_str()))
    }
}

/// Whether an id is only a position, as in `call_0`, and so repeats in every response.
pub(super) fn is_position(id: &str) -> bool {
    id.strip_prefix("call_")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}
