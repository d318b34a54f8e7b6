//! Inputs that grow, and the ways they go: each list and each text that a caller or a provider can
//! make as long as they like, before each translation.

#![allow(
    dead_code,
    clippy::too_many_lines,
    reason = "each user has its own part of this; a list of shapes is long and no long function"
)]

pub mod answers;
pub mod chat;
pub mod grown;
pub mod responses;
pub mod schemas;
pub mod streams;
pub mod ways;

use bytes::Bytes;

/// What goes in: a body in one piece, or a stream in one piece an event.
pub type Input = Vec<Bytes>;

/// A kind of input of any size.
pub struct Shape {
    /// What grows in it.
    pub name: String,
    make: Box<dyn Fn(usize) -> Input>,
}

impl Shape {
    /// A body with so many elements.
    pub fn body(name: &str, make: impl Fn(usize) -> String + 'static) -> Self {
        Self::of(name, move |n| vec![Bytes::from(make(n))])
    }

    /// A stream with so many elements.
    pub fn stream(name: &str, make: impl Fn(usize) -> Vec<String> + 'static) -> Self {
        Self::of(name, move |n| {
            make(n).into_iter().map(Bytes::from).collect()
        })
    }

    fn of(name: &str, make: impl Fn(usize) -> Input + 'static) -> Self {
        Self {
            name: name.to_owned(),
            make: Box::new(make),
        }
    }

    /// How many elements take about so many bytes.
    pub fn elements(&self, bytes: usize) -> usize {
        // Some have a part that does not grow, and so the difference tells.
        let size = |n| length(&self.input(n));
        let of_hundred = size(120).saturating_sub(size(20)).max(1);
        (bytes * 100 / of_hundred).max(1)
    }

    /// The input with so many elements.
    pub fn input(&self, elements: usize) -> Input {
        (self.make)(elements)
    }
}

/// The size of an input, in bytes.
pub fn length(input: &Input) -> usize {
    input.iter().map(Bytes::len).sum()
}

/// Elements in a row, as the inside of a list.
pub fn row(n: usize, one: impl Fn(usize) -> String) -> String {
    (0..n).map(one).collect::<Vec<_>>().join(",")
}

/// What a translation gives of an input, in bytes.
pub type Run = Box<dyn Fn(&Input) -> usize>;

/// A way that inputs of one kind go.
pub struct Way {
    /// From where to where.
    pub name: String,
    /// Goes it.
    pub run: Run,
    /// What it is measured against.
    pub plain: Shape,
}

/// Ways, and the shapes that go each of them.
pub struct Group {
    /// Most bytes that come out for one that goes in: small elements are written with more around
    /// them in one dialect than in another, and most in a stream, where each has its events.
    pub wider: usize,
    /// Whether they are requests.
    pub is_requests: bool,
    /// The ways.
    pub ways: Vec<Way>,
    /// How many of them, the first, have a loop that others do not have.
    pub leading: usize,
    /// Shapes that were made for a loop.
    pub shapes: Vec<Shape>,
    /// Shapes that were made of one request, for whatever was not thought of.
    pub grown: Vec<Shape>,
}

impl Group {
    fn answers(ways: Vec<Way>, shapes: Vec<Shape>) -> Self {
        Self {
            wider: 40,
            is_requests: false,
            leading: ways.len(),
            ways,
            shapes,
            grown: Vec::new(),
        }
    }
}

/// All of them.
pub fn all() -> Vec<Group> {
    vec![
        Group {
            wider: 8,
            is_requests: true,
            ways: ways::chat(),
            leading: ways::LEADING + 1,
            shapes: chat::shapes(),
            grown: chat::grown_shapes(),
        },
        Group {
            wider: 8,
            is_requests: true,
            ways: ways::responses(),
            leading: ways::LEADING,
            shapes: responses::shapes(),
            grown: responses::grown_shapes(),
        },
        Group::answers(ways::chat_streams(), streams::chat()),
        Group::answers(ways::message_streams(), streams::messages()),
        Group::answers(ways::response_streams(), streams::responses()),
        Group::answers(ways::completions(), answers::completions()),
        Group::answers(ways::messages(), answers::messages()),
        Group::answers(ways::whole_responses(), answers::responses()),
        Group::answers(ways::lists(), answers::lists()),
    ]
}
