//! Finds variables whose names are nearly those of the gateway, which would be ignored. Pure.

use std::collections::BTreeSet;

use strsim::damerau_levenshtein;

/// The variable that holds the gateway keys.
pub(super) const GATEWAY_KEYS: &str = "GATEWAY_API_KEYS";

/// Other names that people use for it.
const ALSO_GATEWAY_KEYS: [&str; 5] = [
    "GATEWAY_API_TOKEN",
    "GATEWAY_API_TOKENS",
    "GATEWAY_KEY",
    "GATEWAY_KEYS",
    "GATEWAY_TOKEN",
];

/// The largest edit distance at which a name counts as a misspelling.
const NEAR: usize = 2;

/// The shortest name that is compared; for shorter ones the distance means little.
const SHORTEST: usize = 8;

/// Problems with the names of variables that are set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NameHints {
    /// Errors: the gateway must not start.
    pub mistakes: Vec<String>,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
}

/// Compares the names that are set with the names that are read (`known`).
pub(super) fn of(known: &BTreeSet<String>, set: &[String]) -> NameHints {
    let mut hints = NameHints::default();
    let keyed = set.iter().any(|name| name == GATEWAY_KEYS);
    for name in set.iter().filter(|name| !known.contains(*name)) {
        let upper = name.to_ascii_uppercase();
        let Some(meant) = nearest(&upper, known) else {
            if upper.starts_with("GATEWAY_") || upper.starts_with("UPSTREAM_") {
                hints.warnings.push(format!(
                    "{name} is set, but the gateway reads no such variable"
                ));
            }
            continue;
        };
        if meant == GATEWAY_KEYS && !keyed {
            // The operator meant to require keys; ignoring the variable would let everyone in.
            hints.mistakes.push(format!(
                "{name} is set, but the gateway reads {GATEWAY_KEYS}: rename it, or everyone could call"
            ));
        } else {
            hints.warnings.push(format!(
                "{name} is set, but the gateway reads no such variable; did you mean {meant}?"
            ));
        }
    }
    hints
}

fn nearest<'k>(name: &str, known: &'k BTreeSet<String>) -> Option<&'k str> {
    if ALSO_GATEWAY_KEYS.contains(&name) {
        return Some(GATEWAY_KEYS);
    }
    if name.len() < SHORTEST {
        return None;
    }
    let near = |own: &&String| own.len() >= SHORTEST && own.len().abs_diff(name.len()) <= NEAR;
    let distances = known
        .iter()
        .filter(near)
        .map(|own| (damerau_levenshtein(own, name), own.as_str()));
    let (distance, own) = distances.min()?;
    (distance <= NEAR).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(set: &[&str]) -> NameHints {
        let known = [
            GATEWAY_KEYS,
            "OPENAI_API_KEY",
            "REQUEST_TIMEOUT_SECS",
            "PORT",
            "HOST",
        ];
        let known = known.into_iter().map(str::to_owned).collect();
        let set: Vec<_> = set.iter().map(|name| (*name).to_owned()).collect();
        of(&known, &set)
    }

    #[test]
    fn a_name_that_was_to_keep_others_out_stops_the_start() {
        for name in [
            "GATEWAY_API_KEY",
            "GATEWAY_APIKEYS",
            "gateway_api_keys",
            "GATEWAY_KEY",
        ] {
            let found = hints(&[name]);
            assert_eq!(found.mistakes.len(), 1, "{name}");
            assert!(found.mistakes[0].contains(GATEWAY_KEYS), "{found:?}");
            let beside = hints(&[name, GATEWAY_KEYS]);
            assert_eq!((beside.mistakes.len(), beside.warnings.len()), (0, 1));
        }
    }

    #[test]
    fn names_that_are_nearly_ours_are_told_and_others_are_not() {
        let found = hints(&["REQUEST_TIMEOUT_SEC", "OPENAI_APIKEY", "UPSTREAM_RETRIES"]);
        assert_eq!((found.mistakes.len(), found.warnings.len()), (0, 3));
        assert!(found.warnings[0].contains("REQUEST_TIMEOUT_SECS?"));
        let none = [
            "OPENAI_API_KEY",
            "PATH",
            "POST",
            "TAVILY_API_KEY",
            "HOSTNAME",
            "AI_GATEWAY_API_KEY",
        ];
        assert_eq!(hints(&none), NameHints::default());
    }
}
