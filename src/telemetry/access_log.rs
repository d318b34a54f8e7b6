//! One line of the access log, as text or as JSON. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The value of a field.
#[derive(Debug, Clone)]
pub(super) enum FieldValue<'v> {
    Word(Cow<'v, str>),
    Number(u64),
    Flag(bool),
}

/// The fields of a line, in order.
#[derive(Debug, Default)]
pub(super) struct LogLine<'v>(Vec<(&'static str, FieldValue<'v>)>);

impl<'v> LogLine<'v> {
    pub(super) fn push(&mut self, name: &'static str, value: FieldValue<'v>) {
        self.0.push((name, value));
    }

    /// Writes `name=value` pairs, separated by spaces. A value with spaces, quotes, `\`, `=` or
    /// non-ASCII characters, and an empty one, is written as a JSON string.
    pub(super) fn text(&self, out: &mut String) {
        for (n, (name, value)) in self.0.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}{name}=", if n == 0 { "" } else { " " });
            match value {
                FieldValue::Word(word) if word.bytes().all(is_plain) && !word.is_empty() => {
                    out.push_str(word);
                }
                other => other.json(out),
            }
        }
    }

    /// Writes the fields of a JSON object without its braces; the logger adds its own fields first.
    pub(super) fn json(&self, out: &mut String) {
        for (n, (name, value)) in self.0.iter().enumerate() {
            let _ = write!(out, "{}\"{name}\":", if n == 0 { "" } else { "," });
            value.json(out);
        }
    }
}

impl FieldValue<'_> {
    fn json(&self, out: &mut String) {
        let _ = match self {
            Self::Word(word) => write!(out, "{}", crate::codec::json::raw(word).get()),
            Self::Number(number) => write!(out, "{number}"),
            Self::Flag(flag) => write!(out, "{flag}"),
        };
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"\\=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_choose_cannot_forge_a_field_or_a_line() {
        let mut line = LogLine::default();
        line.push("status", FieldValue::Number(200));
        line.push("model", FieldValue::Word("a b\" status=500\n{}".into()));
        line.push("path", FieldValue::Word("/v1/x".into()));
        line.push("stream", FieldValue::Flag(true));
        let (mut text, mut json) = (String::new(), String::new());
        line.text(&mut text);
        line.json(&mut json);
        assert_eq!(
            text,
            r#"status=200 model="a b\" status=500\n{}" path=/v1/x stream=true"#
        );
        let json: serde_json::Value = serde_json::from_str(&format!("{{{json}}}")).unwrap();
        assert_eq!(json["model"], "a b\" status=500\n{}");
        assert_eq!(json["stream"], true);
    }
}
