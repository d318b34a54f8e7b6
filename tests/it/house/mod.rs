//! The rules of the house: who may use whom, what every file says of itself, which lists agree.

mod imports;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ai_gateway::providers::PROVIDERS;

/// Rows, lowest first. A module may use rows below its own, and none of its own row.
const ROWS: [&[&str]; 12] = [
    &["error", "secret"],
    &["codec", "fair_share"],
    &["dialect"],
    &["providers"],
    &[
        "config",
        "idle_timer",
        "offload",
        "routing",
        "shutdown",
        "store",
    ],
    &["telemetry"],
    &["scripted", "upstream"],
    &["access", "worker"],
    &["flow"],
    &["http"],
    &["gateway"],
    &["commands"],
];

/// The only module that may name these.
const OWNERS: [(&str, &[&str]); 4] = [
    ("actix_web", &["http", "gateway", "commands"]),
    ("awc", &["upstream", "commands"]),
    ("std::env::var", &["config"]),
    ("SystemTime::now", &["flow", "telemetry", "upstream"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// The code of a file without its tests and comments, and the module it belongs to.
fn code(path: &Path) -> (String, String) {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let module = inside.iter().next().unwrap().to_str().unwrap();
    (module.trim_end_matches(".rs").to_owned(), code)
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

#[test]
fn modules_use_only_the_rows_below_them() {
    let mut breaches = Vec::new();
    for path in sources(&root().join("src")) {
        let (module, code) = code(&path);
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let own = row(&module).unwrap_or_else(|| panic!("{module} stands in no row"));
        for used in code.split("crate::").skip(1) {
            let used: String = used
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let allowed = used == module || row(&used).is_some_and(|row| row < own);
            if !allowed {
                breaches.push(format!("{} uses crate::{used}", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn frameworks_clocks_and_the_environment_have_their_owners() {
    for path in sources(&root().join("src")) {
        let (module, code) = code(&path);
        for (name, owners) in OWNERS {
            let used = code.contains(&format!("{name}::")) || code.contains(&format!("{name}("));
            assert!(
                !used || owners.contains(&module.as_str()),
                "{} uses {name}",
                path.display()
            );
        }
    }
}

#[test]
fn the_pure_modules_do_not_wait() {
    for path in sources(&root().join("src")) {
        let (module, code) = code(&path);
        if matches!(
            module.as_str(),
            "error"
                | "secret"
                | "codec"
                | "dialect"
                | "providers"
                | "config"
                | "routing"
                | "access"
        ) {
            for word in ["async ", ".await", "tokio::", "Instant::now", "SystemTime"] {
                assert!(!code.contains(word), "{} has {word}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "tests"] {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with("//! "),
                "{} does not begin with //!",
                path.display()
            );
        }
    }
}

#[test]
fn no_file_uses_itself_by_way_of_others() {
    let src = root().join("src");
    let tree = imports::Crate::read(&src, &sources(&src));
    let uses = tree.uses();
    let edges: usize = uses.values().map(std::collections::BTreeSet::len).sum();
    assert!(edges > 500, "only {edges} uses were found");
    let circles = imports::circles(&uses);
    assert!(circles.is_empty(), "circles through {circles:#?}");
}

#[test]
fn no_dialect_uses_another() {
    let src = root().join("src");
    let tree = imports::Crate::read(&src, &sources(&src));
    let dialect = |file: &Path| {
        let inside = file.strip_prefix(src.join("dialect")).ok()?;
        let (folder, _) = inside.to_str()?.split_once('/')?;
        (!matches!(folder, "hub" | "common")).then(|| folder.to_owned())
    };
    for (file, used) in tree.uses() {
        let Some(own) = dialect(file) else { continue };
        for used in used {
            let other = dialect(used);
            assert!(
                other.is_none_or(|other| other == own),
                "{} uses {}",
                file.display(),
                used.display()
            );
        }
    }
}

#[test]
fn the_transport_knows_no_wire_format() {
    for path in sources(&root().join("src/upstream")) {
        let (_, code) = code(&path);
        for name in ["crate::dialect", "crate::flow", "choices", "output_text"] {
            assert!(!code.contains(name), "{} has {name}", path.display());
        }
    }
}

/// Names that traits demand.
const ASSOCIATED: [&str; 7] = [
    "Error", "Future", "Item", "Output", "Response", "Target", "Value",
];

#[test]
fn no_type_outside_the_dialects_has_the_name_of_another() {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in sources(&root().join("src")) {
        if path.starts_with(root().join("src/dialect")) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for line in imports::code_of(&text).lines() {
            let mut words = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| !word.is_empty());
            let kind = words.find(|word| !matches!(*word, "pub" | "crate" | "super" | "in"));
            if !matches!(kind, Some("struct" | "enum" | "trait" | "type" | "union")) {
                continue;
            }
            let name = words.next().unwrap().to_owned();
            if line.starts_with(' ') && ASSOCIATED.contains(&name.as_str()) {
                continue;
            }
            if let Some(first) = seen.insert(name.clone(), path.clone()) {
                panic!("{name} is in {} and in {}", first.display(), path.display());
            }
        }
    }
    assert!(seen.len() > 150, "only {} types were found", seen.len());
}

/// All pages of the documentation.
fn pages() -> Vec<(PathBuf, String)> {
    let mut out: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .map(|name| root().join(name))
        .into();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        out.push(entry.unwrap().path());
    }
    out.into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn files_that_the_documentation_names_exist() {
    let mut found = 0;
    for (page, text) in pages() {
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "tests/", "benches/", "static/", ".ci/"]
                .iter()
                .any(|start| name.starts_with(start))
                && !name.contains(['*', ' ', '<']);
            if is_path {
                found += 1;
                assert!(root().join(name).exists(), "{}: {name}", page.display());
            }
        }
    }
    assert!(found > 50, "only {found} names were found");
}

/// The number of a promise stands in the comments of the tests that hold it.
#[test]
fn every_promise_has_the_tests_that_the_documentation_names() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let mut promises = 0;
    for line in page.lines().take_while(|line| *line != "## Retries") {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, numbers, _, tests, _] = cells[..] else {
            continue;
        };
        let numbers: Vec<u32> = numbers
            .split(", ")
            .filter_map(|number| number.parse().ok())
            .collect();
        promises += numbers.len();
        if numbers.is_empty() || tests == "soak" {
            continue;
        }
        let files: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!files.is_empty(), "{line}");
        let text: String = files
            .iter()
            .map(|file| root().join(file))
            .filter(|path| path.is_file())
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        let held = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("/// Promise"))
            .flat_map(|rest| rest.split(|c: char| !c.is_ascii_digit()))
            .filter_map(|number| number.parse::<u32>().ok());
        let held: Vec<u32> = held.collect();
        let any = numbers.iter().any(|number| held.contains(number));
        assert!(any || files == ["tests/fuzz"], "{line}");
    }
    assert_eq!(promises, 27);
}

#[test]
fn documentation_example_and_table_agree() {
    let page = fs::read_to_string(root().join("docs/providers.md")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = fs::read_to_string(root().join(".env.example")).unwrap();
    let mut from = 0;
    for provider in &PROVIDERS {
        for text in [provider.base_url, provider.base_url_env, provider.key_env] {
            assert!(
                page.contains(text),
                "docs/providers.md does not have {text}"
            );
        }
        let row = format!("`{}/`", provider.name);
        let at = page[from..].find(&row);
        from += at.unwrap_or_else(|| {
            panic!("docs/providers.md has no {row}, or not in the table's order")
        });
        let prefix = format!("`{}/", provider.name);
        assert!(readme.contains(&prefix), "README.md has no {prefix}");
        let base = format!("# {}={}\n", provider.base_url_env, provider.base_url);
        assert_eq!(example.matches(&base).count(), 1, ".env.example: {base}");
        let key = format!("# {}=", provider.key_env);
        assert_eq!(example.matches(&key).count(), 1, ".env.example: {key}");
    }
}

#[test]
fn every_variable_is_in_the_documentation_and_in_the_example() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let example = fs::read_to_string(root().join(".env.example")).unwrap();
    let code = fs::read_to_string(root().join("src/config/reading.rs")).unwrap();
    let mut found = 0;
    for name in code.split('"').skip(1).step_by(2) {
        let is_variable = name.len() >= 4
            && !name.starts_with('_')
            && !name.starts_with("CARGO_")
            && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if is_variable {
            found += 1;
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/configuration.md does not have {name}"
            );
            assert!(
                example.contains(&format!("# {name}=")),
                ".env.example does not have {name}"
            );
        }
    }
    assert!(found >= 15, "only {found} variables were found");
}
