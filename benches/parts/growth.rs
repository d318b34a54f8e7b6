//! How the instructions of each translation grow with its input: of everything that a caller or a
//! provider can make as long as they like, once and twice as much, counted by callgrind.
//!
//! One process counts thousands of translations: callgrind collects inside of [`measured`] only, and
//! writes down what it collected each time that ends.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, fs, thread};

use crate::shapes::{self, Input, Run, length};

/// How this program is told to translate its share: which, of how many.
pub const SHARE: &str = "--growth-share";

/// Most that twice the input may cost, of what the input costs, in percent.
const TWICE: u64 = 230;

/// Most that a byte of any input may cost, of what one of the usual input costs the same way.
const DEARER: u64 = 5;

/// The size of the small input, in bytes. The large one has twice as many elements; a small element has
/// some thirty bytes, of which there are thousands: enough for a loop over a loop to tell.
const SMALL: usize = 32 << 10;

/// One translation that is counted.
struct Counted {
    way: String,
    shape: String,
    bytes: u64,
    instructions: u64,
}

/// Translates. It has its own frame, by whose name callgrind knows it.
#[inline(never)]
fn measured(run: &Run, input: &Input) -> usize {
    black_box(run(black_box(input)))
}

/// Goes through everything in the same order each time; `count` gets the translation with its input
/// once and twice, and those of each way with the usual input, whose name is empty.
fn each(wanted: Option<&str>, mut count: impl FnMut(&str, &str, &Run, &Input)) {
    let wants = |name: &str| wanted.is_none_or(|word| name.contains(word));
    for group in shapes::all() {
        for way in &group.ways {
            let elements = way.plain.elements(SMALL);
            count(&way.name, "", &way.run, &way.plain.input(elements * 2));
        }
        let grown = group.grown.iter().map(|shape| (shape, group.leading));
        let made = group.shapes.iter().map(|shape| (shape, group.ways.len()));
        for (shape, ways) in made.chain(grown).filter(|(shape, _)| wants(&shape.name)) {
            let elements = shape.elements(SMALL);
            let inputs = [shape.input(elements), shape.input(elements * 2)];
            for way in group.ways.iter().take(ways) {
                for input in &inputs {
                    count(&way.name, &shape.name, &way.run, input);
                }
            }
        }
    }
}

/// Translates one share of everything.
pub fn share(words: &[String]) {
    let number = |n: usize| words.get(n).and_then(|word| word.parse::<usize>().ok());
    let (Some(own), Some(all)) = (number(0), number(1)) else {
        panic!("{SHARE} takes two numbers");
    };
    let mut pair = 0;
    each(words.get(2).map(String::as_str), |_, _, run, input| {
        // The two of a pair, which follow each other, are counted by the same process.
        if pair / 2 % all == own {
            measured(run, input);
        }
        pair += 1;
    });
}

/// Counts everything; `--only WORD` the shapes with this word in their name.
pub fn run<'w>(words: impl Iterator<Item = &'w str>) -> ExitCode {
    let words: Vec<_> = words.collect();
    let only = words.iter().position(|word| *word == "--only");
    let only = only.and_then(|at| words.get(at + 1)).copied();
    let shares = thread::available_parallelism().map_or(1, usize::from);
    let folder = env::temp_dir().join(format!("growth-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for what is counted");
    let children: Vec<_> = (0..shares)
        .map(|own| start(&folder, own, shares, only))
        .collect();
    let mut counts: Vec<_> = children
        .into_iter()
        .map(|(child, file)| collected(child, &file))
        .collect();
    let _ = fs::remove_dir_all(&folder);
    for list in &mut counts {
        list.reverse();
    }
    let mut pair = 0;
    let mut all = Vec::new();
    each(only, |way, shape, _, input| {
        let instructions = counts[pair / 2 % shares].pop().expect("each was counted");
        pair += 1;
        all.push(Counted {
            way: way.to_owned(),
            shape: shape.to_owned(),
            bytes: length(input) as u64,
            instructions,
        });
    });
    judge(&all)
}

/// Starts counting one share.
fn start(folder: &Path, own: usize, shares: usize, only: Option<&str>) -> (Child, PathBuf) {
    let file = folder.join(own.to_string());
    // Of a name with a wildcard callgrind does one of the two.
    let function = "parts::growth::measured";
    let child = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--dump-after={function}"))
        .args([
            "--combine-dumps=yes",
            "--dump-line=no",
            "--max-stackframe=8000000",
        ])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe().expect("this program has a path"))
        .args([SHARE, &own.to_string(), &shares.to_string()])
        .args(only)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind is installed");
    (child, file)
}

/// What was counted, in the order in which it was.
fn collected(child: Child, file: &Path) -> Vec<u64> {
    let ended = child.wait_with_output().expect("it was started");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let text = fs::read_to_string(file).expect("what was counted");
    let totals = text
        .lines()
        .filter_map(|line| line.strip_prefix("totals: "));
    totals
        .map(|total| total.trim().parse().expect("a number"))
        .collect()
}

/// Says what grows faster than its input, or costs more than others.
fn judge(all: &[Counted]) -> ExitCode {
    let (mut wrong, mut judged) = (0, 0);
    let plain = |way: &str| {
        all.iter()
            .find(|one| one.way == way && one.shape.is_empty())
    };
    let mut rest = all.iter().filter(|one| !one.shape.is_empty());
    while let (Some(once), Some(twice)) = (rest.next(), rest.next()) {
        judged += 1;
        let name = format!("{}: {}", once.way, once.shape);
        let percent = twice.instructions * 100 / once.instructions.max(1);
        if percent > TWICE {
            wrong += 1;
            println!(
                "{name}: {} instructions, and of twice as much {percent} % of them",
                once.instructions
            );
        }
        let Some(usual) = plain(&once.way) else {
            continue;
        };
        // Of a small cost the part that does not grow is most.
        let dear = twice.instructions * usual.bytes / (usual.instructions * twice.bytes).max(1);
        if dear >= DEARER && twice.instructions > 1_000_000 {
            wrong += 1;
            println!(
                "{name}: {} instructions for {} bytes, {dear} times what a usual byte costs",
                twice.instructions, twice.bytes
            );
        }
    }
    println!("{judged} translations were counted once and twice; {wrong} cost too much");
    ExitCode::from(u8::from(wrong > 0))
}
