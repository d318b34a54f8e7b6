//! How the instructions of each translation grow with its input: of everything that a caller or a
//! provider can make as long as they like, counted by callgrind.
//!
//! One process counts thousands of translations: callgrind collects inside of [`measured`] only, and
//! writes down what it collected each time that ends. Everything is counted at three sizes that are
//! small. Counts are exact, and so these three tell what a large input would cost; where that is
//! suspicious it is counted as well.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, fs, thread};

use crate::shapes::{self, Input, Run, Shape, Way, length};

/// How this program is told to translate its share of something.
pub const SHARE: &str = "--growth-share";

/// Most that twice the input may cost, of what the input costs, in percent.
const TWICE: u64 = 230;

/// Most that a byte of any request may cost, of what one of a usual conversation costs the way on which
/// that costs most.
const DEARER: u64 = 5;

/// The sizes of small inputs, in bytes: each has twice as many elements as the one before.
const SMALL: [usize; 3] = [16 << 10, 32 << 10, 64 << 10];

/// The sizes of large ones.
const LARGE: [usize; 2] = [512 << 10, 1 << 20];

/// Translates. It has its own frame, by whose name callgrind knows it.
#[inline(never)]
fn measured(run: &Run, input: &Input) -> usize {
    black_box(run(black_box(input)))
}

/// An input on a way.
struct Pair<'s> {
    /// Its number among all.
    number: usize,
    /// The number of its shape.
    shape_number: usize,
    way: &'s Way,
    shape: &'s Shape,
    /// Whether it is what others on this way are measured against.
    is_plain: bool,
    /// Whether it is a request.
    is_request: bool,
}

/// Which pairs are counted.
#[derive(Clone, Copy)]
struct Choice<'c> {
    /// The word that names of shapes have.
    only: &'c str,
    /// Whether of the ways of a group the leading ones are enough: one for each code that is theirs alone.
    short: bool,
}

/// Goes through all pairs that are chosen, in the same order each time.
fn each(choice: Choice<'_>, mut look: impl FnMut(&Pair<'_>)) {
    let only = choice.only;
    let (mut number, mut shape_number) = (0, 0);
    for group in shapes::all() {
        let leading = group.ways.get(..group.leading).unwrap_or_default();
        let ways = if choice.short {
            leading
        } else {
            group.ways.as_slice()
        };
        let plain = ways
            .iter()
            .map(|way| (&way.plain, std::slice::from_ref(way)));
        let made = group.shapes.iter().map(|shape| (shape, ways));
        let grown = group.grown.iter().map(|shape| (shape, leading));
        let all = plain.map(|(shape, ways)| (shape, ways, true));
        let all = all.chain(made.chain(grown).map(|(shape, ways)| (shape, ways, false)));
        for (shape, ways, is_plain) in all {
            if !is_plain && !shape.name.contains(only) {
                continue;
            }
            shape_number += 1;
            for way in ways {
                look(&Pair {
                    number,
                    shape_number,
                    way,
                    shape,
                    is_plain,
                    is_request: group.is_requests,
                });
                number += 1;
            }
        }
    }
}

/// What is counted.
struct Round<'r> {
    choice: Choice<'r>,
    /// The sizes.
    sizes: &'r [usize],
    /// The numbers of the pairs; all where there is no list.
    pairs: Option<Vec<usize>>,
}

impl Round<'_> {
    fn has(&self, pair: &Pair<'_>) -> bool {
        let listed = |list: &Vec<usize>| list.binary_search(&pair.number).is_ok();
        self.pairs.as_ref().is_none_or(listed)
    }
}

/// The inputs of a shape in these sizes.
fn inputs(shape: &Shape, sizes: &[usize]) -> Vec<Input> {
    let [first, ..] = sizes else {
        return Vec::new();
    };
    let elements = shape.elements(*first);
    sizes
        .iter()
        .map(|size| shape.input(elements * (size / first)))
        .collect()
}

/// Translates one share of a round: `own` of `all`, the word, the sizes, the pairs.
pub fn share(words: &[String]) {
    let [own, all, only, short, sizes, pairs] = words else {
        panic!("{SHARE} takes six words");
    };
    let number = |word: &str| word.parse::<usize>().expect("a number");
    let list = |words: &str| {
        words
            .split(',')
            .filter(|w| !w.is_empty())
            .map(number)
            .collect()
    };
    let (own, all, sizes): (_, _, Vec<_>) = (number(own), number(all), list(sizes));
    let pairs = (pairs != "all").then(|| list(pairs));
    let choice = Choice {
        only,
        short: short == "true",
    };
    let round = Round {
        choice,
        sizes: &sizes,
        pairs,
    };
    let mut made = (0, Vec::new());
    each(choice, |pair| {
        if pair.shape_number % all != own || !round.has(pair) {
            return;
        }
        if made.0 != pair.shape_number {
            made = (pair.shape_number, inputs(pair.shape, &sizes));
        }
        for input in &made.1 {
            measured(&pair.way.run, input);
        }
    });
}

/// Counts the instructions of a round: of each pair those of each size, in order.
fn count(round: &Round<'_>) -> Vec<Vec<u64>> {
    let shares = thread::available_parallelism().map_or(1, usize::from);
    let folder = env::temp_dir().join(format!("growth-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for what is counted");
    let started = |own| start(&folder, [own, shares], round);
    let children: Vec<_> = (0..shares).map(started).collect();
    let mut counts: Vec<_> = children
        .into_iter()
        .map(|(child, file)| collected(child, &file).into_iter())
        .collect();
    let _ = fs::remove_dir_all(&folder);
    let mut all = Vec::new();
    each(round.choice, |pair| {
        if let Some(counts) = counts.get_mut(pair.shape_number % shares)
            && round.has(pair)
        {
            let own: Vec<_> = counts.take(round.sizes.len()).collect();
            assert_eq!(own.len(), round.sizes.len(), "each was counted");
            all.push(own);
        }
    });
    all
}

/// Starts counting one share.
fn start(folder: &Path, [own, shares]: [usize; 2], round: &Round<'_>) -> (Child, PathBuf) {
    let file = folder.join(own.to_string());
    // Of a name with a wildcard callgrind does one of the two.
    let function = "parts::growth::measured";
    let list = |numbers: &[usize]| {
        let words: Vec<_> = numbers.iter().map(ToString::to_string).collect();
        words.join(",")
    };
    let pairs = round.pairs.as_deref().map_or("all".to_owned(), list);
    let child = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--dump-after={function}"))
        .args(["--combine-dumps=yes", "--dump-line=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe().expect("this program has a path"))
        .args([SHARE, &own.to_string(), &shares.to_string()])
        .args([round.choice.only, &round.choice.short.to_string()])
        .args([&list(round.sizes), &pairs])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind is installed");
    (child, file)
}

/// What was counted, in the order in which it was.
fn collected(child: Child, file: &Path) -> Vec<u64> {
    let ended = child.wait_with_output().expect("it was started");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let text = fs::read_to_string(file).expect("what was counted");
    let totals = text
        .lines()
        .filter_map(|line| line.strip_prefix("totals: "));
    totals
        .map(|total| total.trim().parse().expect("a number"))
        .collect()
}

/// Whether the counts of three sizes, each twice the one before, say that a loop over a loop would be
/// much of the cost of a megabyte. Of `c + b n + a n²` they tell all three.
fn is_suspicious(counts: &[u64]) -> bool {
    let [one, two, four] = counts else {
        return false;
    };
    let [one, two, four] = [one, two, four].map(|count| i128::from(*count));
    let square = (four - 3 * two + 2 * one) * 16 / 6;
    let times = (LARGE[1] / SMALL[2]) as i128;
    square * times * times * 5 > (four - square) * times
}

/// How much more twice as much costs, in percent: of three sizes the mean, because memory that is taken in
/// steps makes one of two doublings dearer.
fn percent(counts: &[u64]) -> u64 {
    match counts {
        [first, _, last] => (last * 10_000 / first.max(&1)).isqrt(),
        [.., once, twice] => twice * 100 / once.max(&1),
        _ => 0,
    }
}

/// Counts everything, which takes twenty minutes on two processors; `--short` the leading ways alone, and
/// `--only WORD` the shapes with this word in their name.
pub fn run<'w>(words: impl Iterator<Item = &'w str>) -> ExitCode {
    let words: Vec<_> = words.collect();
    let only = words.iter().position(|word| *word == "--only");
    let only = only
        .and_then(|at| words.get(at + 1))
        .copied()
        .unwrap_or_default();
    let short = words.contains(&"--short");
    let choice = Choice { only, short };
    let small = count(&Round {
        choice,
        sizes: &SMALL,
        pairs: None,
    });
    let numbers = 0..small.len();
    let suspicious = |number: &usize| {
        let counts = &small[*number];
        !short && percent(counts) <= TWICE && is_suspicious(counts)
    };
    let pairs: Vec<_> = numbers.filter(suspicious).collect();
    println!(
        "{} pairs were counted, and {} of them again",
        small.len(),
        pairs.len()
    );
    let large = Round {
        choice,
        sizes: &LARGE,
        pairs: Some(pairs),
    };
    let again = count(&large);
    let wrong = judge(&small, &large, &again);
    println!("{wrong} cost too much");
    ExitCode::from(u8::from(wrong > 0))
}

/// Says what grows faster than its input, or costs more than others; how much that is.
fn judge(small: &[Vec<u64>], large: &Round<'_>, again: &[Vec<u64>]) -> usize {
    let mut wrong = 0;
    let mut complain = |pair: &Pair<'_>, why: String| {
        wrong += 1;
        println!("{}: {}: {why}", pair.way.name, pair.shape.name);
    };
    let mut usual = 0;
    let mut last = (0, 0);
    let mut again = again.iter();
    each(large.choice, |pair| {
        let counts = &small[pair.number];
        let most = counts.last().copied().unwrap_or_default();
        if last.0 != pair.shape_number {
            let large = inputs(pair.shape, &SMALL).pop();
            last = (
                pair.shape_number,
                large.map_or(1, |input| length(&input)) as u64,
            );
        }
        let of_byte = most / last.1.max(1);
        if pair.is_plain && pair.is_request {
            usual = usual.max(of_byte);
        }
        if pair.is_request && of_byte > usual * DEARER {
            complain(
                pair,
                format!("{of_byte} instructions a byte, and a usual one {usual}"),
            );
        }
        let more = if large.has(pair) { again.next() } else { None };
        for counts in [Some(counts), more].into_iter().flatten() {
            if percent(counts) > TWICE {
                let percent = percent(counts);
                complain(
                    pair,
                    format!("{counts:?} instructions, {percent} % each time"),
                );
            }
        }
    });
    wrong
}
