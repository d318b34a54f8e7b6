//! Server-sent events: cut anywhere, nothing is lost, and the events are the same.

#![no_main]

use ai_gateway::codec::sse::{self, Framer};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

// The first line says how long the pieces are, a letter each: `a` is 1, `@` is 0. The stream is
// what follows it; what is left of it after the last length comes in one.
fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (lengths, stream) = input.split_at(end.unwrap_or(0));
    let stream = stream.strip_prefix(b"\n").unwrap_or(stream);
    let whole = replay(&[stream]);
    let mut rest = stream;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, after) = rest.split_at(usize::from(length % 32).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(replay(&pieces), whole);
    let single: Vec<_> = stream.chunks(1).collect();
    assert_eq!(replay(&single), whole);
});

type Events = Vec<(Option<String>, String)>;

fn replay(pieces: &[&[u8]]) -> Events {
    let mut framer = Framer::new(1 << 20);
    let (mut out, mut joined) = (Events::new(), Vec::new());
    let mut take = |bytes: &[u8]| {
        joined.extend_from_slice(bytes);
        for event in sse::events(bytes) {
            out.push((event.name.map(Into::into), event.data.into()));
        }
    };
    for piece in pieces {
        let whole = framer
            .push(Bytes::copy_from_slice(piece))
            .expect("it is not too long");
        assert!(whole.is_empty() || ends_event(&whole), "{whole:?}");
        take(&whole);
    }
    let partial = framer.has_partial();
    let tail = framer.finish();
    assert!(partial || tail.trim_ascii().is_empty(), "{tail:?}");
    take(&tail);
    assert_eq!(joined, pieces.concat());
    out
}

/// Whether the last line is empty.
fn ends_event(bytes: &[u8]) -> bool {
    let is_end = |byte: Option<&u8>| matches!(byte, None | Some(b'\n' | b'\r'));
    match bytes {
        [before @ .., b'\r', b'\n'] | [before @ .., b'\n' | b'\r'] => is_end(before.last()),
        _ => false,
    }
}
