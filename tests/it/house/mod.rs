//! The rules of the house: who may use whom, what every file says of itself, which lists agree.

use std::fs;
use std::path::{Path, PathBuf};

use ai_gateway::providers::PROVIDERS;

/// Rows, lowest first. A module may use rows below its own, and none of its own row.
const ROWS: [&[&str]; 11] = [
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
    &["commands"],
];

/// The only module that may name these.
const OWNERS: [(&str, &[&str]); 4] = [
    ("actix_web", &["http", "commands"]),
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
fn readme_example_and_table_agree() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = fs::read_to_string(root().join(".env.example")).unwrap();
    let mut from = 0;
    for provider in &PROVIDERS {
        for text in [provider.base_url, provider.base_url_env, provider.key_env] {
            assert!(readme.contains(text), "README.md does not have {text}");
        }
        let row = format!("`{}/`", provider.name);
        let at = readme[from..].find(&row);
        from += at.unwrap_or_else(|| panic!("README.md has no {row}, or not in the table's order"));
        let base = format!("# {}={}\n", provider.base_url_env, provider.base_url);
        assert_eq!(example.matches(&base).count(), 1, ".env.example: {base}");
        let key = format!("# {}=", provider.key_env);
        assert_eq!(example.matches(&key).count(), 1, ".env.example: {key}");
    }
}

#[test]
fn every_variable_is_in_the_readme_and_in_the_example() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = fs::read_to_string(root().join(".env.example")).unwrap();
    let code = fs::read_to_string(root().join("src/config/env.rs")).unwrap();
    let code = code.split("#[cfg(test)]").next().unwrap();
    let mut found = 0;
    for name in code.split('"').skip(1).step_by(2) {
        let is_variable = name.len() >= 4
            && !name.starts_with('_')
            && !name.starts_with("CARGO_")
            && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if is_variable {
            found += 1;
            assert!(
                readme.contains(&format!("`{name}`")),
                "README.md does not have {name}"
            );
            assert!(
                example.contains(&format!("# {name}=")),
                ".env.example does not have {name}"
            );
        }
    }
    assert!(found >= 15, "only {found} variables were found in env.rs");
}
