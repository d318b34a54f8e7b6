//! Which file of the crate uses which: `use` items and paths, followed through re-exports to the file
//! that has the item.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module path, as `["http", "routes"]`; empty for `lib.rs`.
type Module = Vec<String>;

/// A path that is used or re-exported, and whether it is public.
struct Import {
    name: String,
    path: Vec<String>,
    is_public: bool,
}

struct Source {
    file: PathBuf,
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths inside of code, as `super::name`.
    paths: Vec<Vec<String>>,
}

/// All files below `src` but for the binary's own.
pub struct Crate(BTreeMap<Module, Source>);

/// The code of a file without tests, comments and the contents of strings.
pub fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.find(['"', '/', '\'']) {
        out.push_str(&rest[..next]);
        rest = &rest[next..];
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with('"') {
            let raw = out.ends_with('#') || out.ends_with('r');
            let hashes = out.len() - out.trim_end_matches('#').len();
            let close = format!("\"{}", "#".repeat(hashes));
            let mut end = 1;
            while !rest[end..].starts_with(&close) {
                let escaped = !raw && rest[end..].starts_with('\\');
                end += 1;
                if escaped {
                    end += rest[end..].chars().next().map_or(1, char::len_utf8);
                }
                while !rest.is_char_boundary(end) {
                    end += 1;
                }
            }
            out.push_str("\"\"");
            rest = &rest[end + 1..];
        } else if rest.starts_with("'\"'") || rest.starts_with("'/'") {
            out.push_str("' '");
            rest = &rest[3..];
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// The paths of a `use` tree, with the name that each gets.
fn expand(tree: &str, before: &[String], out: &mut Vec<(String, Vec<String>)>) {
    let tree = tree.trim();
    let Some((head, inside)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
        let mut all = before.to_vec();
        all.extend(
            path.split("::")
                .map(|part| part.trim().to_owned())
                .filter(|part| part != "self"),
        );
        let last = all.last().cloned().unwrap_or_default();
        let name = if alias.is_empty() {
            last
        } else {
            alias.trim().to_owned()
        };
        out.push((name, all));
        return;
    };
    let mut all = before.to_vec();
    all.extend(
        head.split("::")
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty()),
    );
    let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
    let (mut depth, mut from) = (0, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&inside[from..at], &all, out);
                from = at + 1;
            }
            _ => {}
        }
    }
    if !inside[from..].trim().is_empty() {
        expand(&inside[from..], &all, out);
    }
}

fn read(file: &Path) -> Source {
    const KINDS: [&str; 9] = [
        "struct",
        "enum",
        "trait",
        "type",
        "fn",
        "const",
        "static",
        "union",
        "macro_rules",
    ];
    let code = code_of(&fs::read_to_string(file).unwrap());
    let mut source = Source {
        file: file.to_owned(),
        items: BTreeSet::new(),
        imports: Vec::new(),
        paths: Vec::new(),
    };
    let mut before = "";
    for word in words(&code) {
        if KINDS.contains(&before) {
            source.items.insert(word.to_owned());
        }
        before = word;
    }
    let mut rest = String::new();
    for statement in code.split(';') {
        let use_at = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end_matches(' ');
            before.is_empty() || before.ends_with(['\n', '{', '}', ')']) || before.ends_with("pub")
        });
        rest.push_str(&statement[..use_at.unwrap_or(statement.len())]);
        rest.push(';');
        let Some(at) = use_at else { continue };
        let visibility = statement[..at].trim_end();
        let mut paths = Vec::new();
        expand(&statement[at + 4..], &[], &mut paths);
        for (name, path) in paths {
            source.imports.push(Import {
                name,
                path,
                is_public: visibility.ends_with("pub") || visibility.ends_with(')'),
            });
        }
    }
    // What a file gives on and needs itself as well, it uses.
    let mut named = BTreeSet::new();
    let mut before = "";
    for word in words(&rest) {
        if before != "mod" {
            named.insert(word.to_owned());
        }
        before = word;
    }
    for import in &mut source.imports {
        import.is_public &= !named.contains(&import.name);
    }
    // `pub(in crate::module)` names who may use, not what is used.
    let rest = rest.replace("pub(in crate::", "pub(");
    for piece in rest.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':')) {
        let piece = piece.trim_end_matches(':');
        if piece.contains("::") && !piece.starts_with(':') {
            source
                .paths
                .push(piece.split("::").map(str::to_owned).collect());
        }
    }
    source
}

impl Crate {
    pub fn read(src: &Path, files: &[PathBuf]) -> Self {
        let mut out = BTreeMap::new();
        for file in files {
            let inside = file.strip_prefix(src).unwrap().with_extension("");
            let mut module: Module = inside
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            let last = module.last().map(String::as_str);
            if matches!(last, Some("main" | "tests")) {
                continue;
            }
            if matches!(last, Some("mod" | "lib")) {
                module.pop();
            }
            out.insert(module, read(file));
        }
        Self(out)
    }

    /// The module that has what `path` names, seen from `from`.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        if depth > 8 {
            return None;
        }
        let mut at = from.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                at = Module::new();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let known = self.child(&at, first).is_some()
                    || self.0[&at].items.contains(first)
                    || self.0[&at].imports.iter().any(|one| one.name == first);
                if !known {
                    return None;
                }
            }
        }
        while let Some(part) = rest.first() {
            if let Some(child) = self.child(&at, part) {
                at = child;
                rest = &rest[1..];
                continue;
            }
            let source = &self.0[&at];
            if source.items.contains(part) {
                return Some(at);
            }
            let import = source.imports.iter().find(|one| one.name == *part);
            return match import {
                Some(import) if import.path != rest || at != *from => {
                    self.resolve(&at, &import.path, depth + 1)
                }
                Some(_) => None,
                None => Some(at),
            };
        }
        Some(at)
    }

    fn child(&self, of: &Module, name: &str) -> Option<Module> {
        let mut child = of.clone();
        child.push(name.to_owned());
        self.0.contains_key(&child).then_some(child)
    }

    /// What each file uses. A public `use` alone gives a name on and uses nothing.
    pub fn uses(&self) -> BTreeMap<&Path, BTreeSet<&Path>> {
        let mut out = BTreeMap::new();
        for (module, source) in &self.0 {
            let private = source.imports.iter().filter(|one| !one.is_public);
            let paths = private.map(|one| &one.path).chain(&source.paths);
            let used: BTreeSet<&Path> = paths
                .filter_map(|path| self.resolve(module, path, 0))
                .filter(|used| used != module)
                .map(|used| self.0[&used].file.as_path())
                .collect();
            out.insert(source.file.as_path(), used);
        }
        out
    }
}

/// The files from which a way leads back to themselves.
pub fn circles<'p>(uses: &BTreeMap<&'p Path, BTreeSet<&'p Path>>) -> Vec<&'p Path> {
    let reaches_itself = |start: &Path| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
        while let Some(file) = next.pop() {
            for used in &uses[file] {
                if *used == start {
                    return true;
                }
                if seen.insert(*used) {
                    next.push(used);
                }
            }
        }
        false
    };
    uses.keys()
        .copied()
        .filter(|file| reaches_itself(file))
        .collect()
}
