//! Tracks the tool calls of a conversation: their ids for the provider, and which have no result
//! yet. Pure.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use crate::dialect::hub::RequestToolCall;

/// A tool call, with an id that Anthropic accepts.
struct Call<'a> {
    given: Cow<'a, str>,
    id: String,
    /// The field of the client's request that holds the call's id.
    param: String,
}

/// All calls so far. The cost of a call does not depend on how many calls share its id.
#[derive(Default)]
pub(super) struct Calls<'a> {
    all: Vec<Call<'a>>,
    /// Positions of calls without a result.
    waiting: BTreeSet<usize>,
    /// The same by the client's id, in order. Calls that were answered by name may remain and are
    /// skipped. All waiting calls are of one turn, since the next begins when none is left.
    waiting_by_id: HashMap<Cow<'a, str>, VecDeque<usize>>,
    /// The same by function name, in order. Calls that were answered by id may remain and are
    /// skipped.
    waiting_by_name: HashMap<Cow<'a, str>, VecDeque<usize>>,
    /// Ids in use, each with the next suffix to try for a duplicate.
    taken: HashMap<String, usize>,
    named: HashSet<Cow<'a, str>>,
    names: Vec<String>,
}

impl<'a> Calls<'a> {
    /// Adds a call and returns its id for the provider. That is the client's id if the provider
    /// accepts it and no other call has it. `as_is` keeps the client's id in any case.
    pub(super) fn add(&mut self, call: &RequestToolCall<'a>, param: String, as_is: bool) -> String {
        let id = if as_is {
            call.id.to_string()
        } else {
            self.accepted(&call.id)
        };
        self.taken.entry(id.clone()).or_insert(2);
        if self.named.insert(call.name.clone()) {
            self.names.push(call.name.to_string());
        }
        let position = self.all.len();
        self.all.push(Call {
            given: call.id.clone(),
            id: id.clone(),
            param,
        });
        self.waiting.insert(position);
        let same = self.waiting_by_id.entry(call.id.clone()).or_default();
        same.push_back(position);
        let same = self.waiting_by_name.entry(call.name.clone()).or_default();
        same.push_back(position);
        id
    }

    /// Makes an id match `^[a-zA-Z0-9_-]+$` and differ from all ids before it.
    fn accepted(&mut self, given: &str) -> String {
        let mut wanted: String = given
            .chars()
            .map(|c| match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => c,
                _ => '_',
            })
            .collect();
        if wanted.is_empty() {
            wanted = format!("call_{}", self.all.len());
        }
        let mut id = wanted.clone();
        while self.taken.contains_key(&id) {
            let next = self.taken.entry(wanted.clone()).or_insert(2);
            id = format!("{wanted}_{next}");
            *next += 1;
        }
        id
    }

    /// Takes the first unanswered call with the client's id. Returns its position and the
    /// provider's id.
    pub(super) fn answer(&mut self, given: &str) -> Option<(usize, String)> {
        let position = first_of(self.waiting_by_id.get_mut(given)?, &self.waiting)?;
        self.take(position)
    }

    /// Takes the first unanswered call of a function; without a name, the last unanswered call.
    pub(super) fn answer_function(&mut self, name: Option<&str>) -> Option<(usize, String)> {
        let position = match name {
            Some(name) => first_of(self.waiting_by_name.get_mut(name)?, &self.waiting)?,
            None => *self.waiting.last()?,
        };
        self.take(position)
    }

    fn take(&mut self, position: usize) -> Option<(usize, String)> {
        self.waiting.remove(&position);
        Some((position, self.all.get(position)?.id.clone()))
    }

    /// The first unanswered call: the field that holds its id, and the client's id.
    pub(super) fn first_waiting(&self) -> Option<(&str, &str)> {
        let call = self.all.get(*self.waiting.first()?)?;
        Some((&call.param, &call.given))
    }

    /// Names of the tools that were called, in order of first use.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// The first call of a queue that is still unanswered.
fn first_of(queue: &mut VecDeque<usize>, waiting: &BTreeSet<usize>) -> Option<usize> {
    while let Some(position) = queue.pop_front() {
        if waiting.contains(&position) {
            return Some(position);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::json::Object;

    fn call(id: &str) -> RequestToolCall<'_> {
        RequestToolCall {
            at: None,
            id: id.into(),
            name: "f".into(),
            arguments: "{}".into(),
            function: Object::default(),
            older: false,
            other: Object::default(),
        }
    }

    #[test]
    fn ids_are_accepted_and_each_is_its_own() {
        let mut calls = Calls::default();
        let ids: Vec<_> = ["a", "a", "a_2", "a", "x:0", "x.0", ""]
            .iter()
            .map(|id| calls.add(&call(id), String::new(), false))
            .collect();
        assert_eq!(ids, ["a", "a_2", "a_2_2", "a_3", "x_0", "x_0_2", "call_6"]);
    }

    #[test]
    fn results_belong_to_the_calls_that_wait_in_their_order() {
        let mut calls = Calls::default();
        for id in ["a", "b", "a"] {
            calls.add(&call(id), format!("at {id}"), false);
        }
        assert_eq!(calls.answer("a"), Some((0, "a".to_owned())));
        assert_eq!(calls.answer("a"), Some((2, "a_2".to_owned())));
        assert_eq!(calls.answer("a"), None);
        assert_eq!(calls.first_waiting(), Some(("at b", "b")));
        assert_eq!(calls.answer_function(None), Some((1, "b".to_owned())));
        assert_eq!(calls.first_waiting(), None);
    }

    #[test]
    fn thousands_of_calls_with_one_id_are_no_work() {
        let mut calls = Calls::default();
        for n in 0..50_000 {
            calls.add(&call("a"), String::new(), false);
            assert!(calls.answer("a").is_some_and(|(position, _)| position == n));
        }
    }

    #[test]
    fn results_of_functions_belong_to_the_calls_of_their_name() {
        let mut calls = Calls::default();
        for name in ["f", "g", "f"] {
            let mut call = call(name);
            call.name = name.into();
            calls.add(&call, String::new(), false);
        }
        assert_eq!(calls.answer("f"), Some((0, "f".to_owned())));
        assert_eq!(
            calls.answer_function(Some("f")),
            Some((2, "f_2".to_owned()))
        );
        assert_eq!(calls.answer_function(Some("f")), None);
        assert_eq!(calls.answer_function(Some("g")), Some((1, "g".to_owned())));
    }
}
