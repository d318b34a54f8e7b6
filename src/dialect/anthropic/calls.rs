//! The calls of a conversation: which id each has for the provider, and which wait for a result. Pure.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use crate::dialect::hub::RequestToolCall;

/// A call, with the id that Anthropic accepts.
struct Call<'a> {
    given: Cow<'a, str>,
    id: String,
    /// The field that holds its id in the client's request.
    param: String,
}

/// All calls so far. Work on each is bounded, however many share an id.
#[derive(Default)]
pub(super) struct Calls<'a> {
    all: Vec<Call<'a>>,
    /// Positions of those without a result.
    waiting: BTreeSet<usize>,
    /// The same by the client's id, in order. All are of one turn: the next begins when none waits.
    waiting_by_id: HashMap<Cow<'a, str>, VecDeque<usize>>,
    /// The same by the function's name. Here too stand calls that were answered by the other way.
    waiting_by_name: HashMap<Cow<'a, str>, VecDeque<usize>>,
    /// Ids that are taken, and the next number to tell another one from it.
    taken: HashMap<String, usize>,
    named: HashSet<Cow<'a, str>>,
    names: Vec<String>,
}

impl<'a> Calls<'a> {
    /// Adds a call and gives its id: the client's where the provider takes it and no other call has
    /// it. `as_is` keeps the client's in any case.
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

    /// `^[a-zA-Z0-9_-]+$`, and unlike every id before it.
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

    /// Takes the first call that waits under the client's id; gives its position and its id.
    pub(super) fn answer(&mut self, given: &str) -> Option<(usize, String)> {
        let position = first_of(self.waiting_by_id.get_mut(given)?, &self.waiting)?;
        self.take(position)
    }

    /// Takes the first call of this function that waits; without a name the latest of all.
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

    /// The first call that waits: the field of its id, and the id.
    pub(super) fn first_waiting(&self) -> Option<(&str, &str)> {
        let call = self.all.get(*self.waiting.first()?)?;
        Some((&call.param, &call.given))
    }

    /// Names of the tools that were called, in order of appearance.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// The first of a queue that still waits.
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
