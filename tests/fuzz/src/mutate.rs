//! Changes that keep JSON and events whole, so that an input gets past the first check.

use std::ops::Range;

use libfuzzer_sys::fuzzer_mutate;

/// Values that are odd in most places.
const ODD: [&[u8]; 9] = [
    b"null",
    b"true",
    b"0",
    b"-1",
    b"18446744073709551615",
    b"\"\"",
    b"[]",
    b"{}",
    b"[{}]",
];

/// Changes the first `size` bytes of `data` and tells how many there are then. Half of the changes
/// are the fuzzer's own, to bytes and words; the others move, repeat, replace and take out whole
/// values, members and events.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let text = &data[..size];
    let (values, events) = spans(text);
    let mut seed = seed;
    let mut below = |bound: usize| {
        // Numerical Recipes' generator; its high bits are the random ones.
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % bound
    };
    if values.is_empty() || below(2) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let whole_events = !events.is_empty() && below(4) == 0;
    let spans = if whole_events { events } else { values };
    let at = spans[below(spans.len())].clone();
    let other = &text[spans[below(spans.len())].clone()];
    let comma_after = text.get(at.end) == Some(&b',');
    let comma_before = at.start > 0 && text[at.start - 1] == b',';
    let (cut, new) = match below(5) {
        0 => (at, other.to_vec()),
        1 => (at, ODD[below(ODD.len())].to_vec()),
        2 if comma_after => (at.start..at.end + 1, Vec::new()),
        2 if comma_before => (at.start - 1..at.end, Vec::new()),
        2 => (at, Vec::new()),
        _ if whole_events => (at.end..at.end, other.to_vec()),
        3 => (at.end..at.end, [b",", other].concat()),
        _ => (at.end..at.end, [b",", &text[at]].concat()),
    };
    let out = [&text[..cut.start], &new, &text[cut.end..]].concat();
    if out.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..out.len()].copy_from_slice(&out);
    out.len()
}

/// Where values and members stand, and where events do.
fn spans(text: &[u8]) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (mut spans, mut events): (Vec<Range<usize>>, _) = (Vec::new(), Vec::new());
    // Where an object or array begins, and the name before a value.
    let (mut open, mut names) = (Vec::new(), Vec::new());
    let (mut event, mut at) = (0, 0);
    while let Some(byte) = text.get(at) {
        let start = at;
        at += 1;
        let begin = match byte {
            b'{' | b'[' => {
                open.push(start);
                continue;
            }
            b'}' | b']' => match open.pop() {
                Some(begin) => begin,
                None => continue,
            },
            b'"' => {
                while let Some(byte) = text.get(at) {
                    at += 1 + usize::from(*byte == b'\\');
                    if *byte == b'"' {
                        break;
                    }
                }
                at = at.min(text.len());
                start
            }
            b':' => {
                names.extend(spans.last().filter(|name| name.end == start).cloned());
                continue;
            }
            b'\n' => {
                if text[..start].ends_with(b"\n") {
                    events.push(event..at);
                    event = at;
                    open.clear();
                    names.clear();
                }
                continue;
            }
            b',' | b' ' | b'\r' => continue,
            _ => {
                let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                at += text[at..].iter().take_while(|byte| is_word(byte)).count();
                start
            }
        };
        spans.push(begin..at);
        if let Some(name) = names.pop_if(|name| name.end + 1 == begin) {
            spans.push(name.start..at);
        }
    }
    (spans, events)
}
