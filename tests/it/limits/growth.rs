//! What a caller or a provider can make as long as they like costs no more than its length.
//!
//! Bytes are counted here. What it costs the processor is counted by `cargo bench --bench parts -- --growth`,
//! which needs valgrind.

use crate::shapes::{Group, Input, Way, length};

/// Most that twice the input may give, of what the input gives, in percent.
const TWICE: usize = 230;

/// What may come out besides, in bytes: what does not grow, and what is remembered of one answer.
const BESIDES: usize = 4 * crate::shapes::ways::KEPT;

/// Sends inputs of so many bytes, and of twice as many, each way.
fn each(small: usize, mut look: impl FnMut(&Group, &Way, &[Input; 2]) -> Option<String>) {
    let mut wrong = Vec::new();
    for group in crate::shapes::all() {
        for shape in group.shapes.iter().chain(&group.grown) {
            let elements = shape.elements(small);
            let inputs = [shape.input(elements), shape.input(elements * 2)];
            for way in &group.ways {
                let why = look(&group, way, &inputs);
                wrong.extend(why.map(|why| format!("{}: {}: {why}", way.name, shape.name)));
            }
        }
    }
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} grow:\n{}", wrong.join("\n"));
}

#[test]
fn what_comes_out_grows_with_what_goes_in() {
    const SMALL: usize = 6000;
    each(SMALL, |group, way, [small, large]| {
        let (once, twice) = ((way.run)(small), (way.run)(large));
        if twice * 100 > once * TWICE + BESIDES * 100 {
            return Some(format!("{once} bytes, and of twice as much {twice}"));
        }
        let input = length(large);
        (twice > group.wider * input + BESIDES).then(|| format!("{twice} bytes of {input}"))
    });
}
