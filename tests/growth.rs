//! What a caller or a provider can make as long as they like costs no more than its length.
//!
//! Bytes are counted here, exactly. What it costs the processor is counted exactly by
//! `cargo bench --bench parts -- --growth`, which needs valgrind; a coarse look is had here, so that no
//! loop over a loop gets as far as that.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails says so by panicking"
)]

mod shapes;

use std::hint::black_box;
use std::time::{Duration, Instant};

use shapes::{Group, Input, Way, length};

/// Most that twice the input may give, of what the input gives, in percent.
const TWICE: usize = 230;

/// What may come out besides, in bytes: what does not grow, and what is remembered of one answer.
const BESIDES: usize = 4 * shapes::ways::KEPT;

/// Sends inputs of so many bytes, and of so many times as many, each way; where it is looked at
/// coarsely, shapes that were made for a loop the first ways.
fn each(
    small: usize,
    times: usize,
    coarsely: bool,
    mut look: impl FnMut(&Group, &Way, &[Input; 2]) -> Option<String>,
) {
    let mut wrong = Vec::new();
    for group in shapes::all() {
        let grown = group.grown.iter().filter(|_| !coarsely);
        for shape in group.shapes.iter().chain(grown) {
            let elements = shape.elements(small);
            let inputs = [shape.input(elements), shape.input(elements * times)];
            let ways = if coarsely {
                group.leading
            } else {
                group.ways.len()
            };
            for way in group.ways.iter().take(ways) {
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
    each(SMALL, 2, false, |group, way, [small, large]| {
        let (once, twice) = ((way.run)(small), (way.run)(large));
        if twice * 100 > once * TWICE + BESIDES * 100 {
            return Some(format!("{once} bytes, and of twice as much {twice}"));
        }
        let input = length(large);
        (twice > group.wider * input + BESIDES).then(|| format!("{twice} bytes of {input}"))
    });
}

/// The least time that it took, which is what it takes when nobody disturbs it.
fn took(way: &Way, input: &Input, times: usize) -> Duration {
    (0..times)
        .map(|_| {
            let begun = Instant::now();
            black_box((way.run)(black_box(input)));
            begun.elapsed()
        })
        .min()
        .unwrap()
}

/// Eight times as much takes eight times as long, and 64 times as long where each element looks at all
/// others: between the two there is room for whatever else the machine does.
#[test]
fn what_it_takes_grows_with_what_goes_in() {
    const SMALL: usize = 8000;
    const TIMES: usize = 8;
    const MOST: u32 = 20;
    each(SMALL, TIMES, true, |_, way, [few, many]| {
        // Whoever is disturbed is looked at again, for longer.
        let mut last = None;
        for times in [1, 3, 9] {
            let once = took(way, few, times + 1);
            let long = took(way, many, times);
            if long <= once * MOST {
                return None;
            }
            last = Some(format!("{once:?}, and of {TIMES} times as much {long:?}"));
            if long > once * MOST * 2 {
                break;
            }
        }
        last
    });
}
