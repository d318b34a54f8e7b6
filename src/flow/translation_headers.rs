//! The headers that name the parameters that a translation left out or changed. Pure.

use crate::dialect::TranslationReport;
use crate::upstream::Headers;

/// Maximum length of a list of names in a header, in bytes.
const MAX_NAMES: usize = 2000;

/// Adds the headers for what a translation left out and changed.
pub(super) fn name_changes(report: &TranslationReport, headers: &mut Headers) {
    for (header, names) in [
        ("x-gateway-dropped-params", &report.dropped),
        ("x-gateway-changed-params", &report.changed),
    ] {
        if !names.is_empty() {
            headers.push(header, &list(names));
        }
    }
}

/// Joins names for a header. The names come from the client, so other characters become `_`; past
/// the limit, the rest is only counted.
fn list(names: &[String]) -> String {
    let mut out = String::new();
    for (n, name) in names.iter().enumerate() {
        if out.len() + name.len() > MAX_NAMES {
            let comma = if out.is_empty() { "" } else { "," };
            let rest = names.len() - n;
            return format!("{out}{comma}and-{rest}-more");
        }
        if n > 0 {
            out.push(',');
        }
        out.extend(name.chars().map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' | '[' | ']' => c,
            _ => '_',
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_header_are_names_and_not_too_many() {
        let names = ["a.b[0]", "x\ny: z", "\u{fc}"].map(str::to_owned);
        assert_eq!(list(&names), "a.b[0],x_y__z,_");
        let many: Vec<_> = (0..1000).map(|n| format!("name{n}")).collect();
        let shown = list(&many);
        assert!(shown.len() < MAX_NAMES + 30, "{}", shown.len());
        assert!(shown.ends_with("-more"), "{shown}");
        assert_eq!(list(&["x".repeat(5000)]), "and-1-more");
    }
}
