//! Decodes lists of models in every shape that the providers use. Pure.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use super::position_of;

/// A model in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The id by which a client requests the model.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// Creation time in seconds since 1970; 0 if the provider does not give it.
    pub created: u64,
    /// The owner of the model.
    pub owned_by: String,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Context window, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Maximum number of output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// `catalogue` if the entry comes from the catalogue bundled with the gateway; `None` if the
    /// provider listed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'static str>,
}

/// One page of a list.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// The models of the page, without duplicates. The requested prefix is removed from each id.
    pub entries: Vec<Entry>,
    /// The id after which the next page begins; `None` on the last page.
    pub after: Option<String>,
}

/// Decodes one page. `owner` is used for a model without `owned_by`. `prefix` is removed from each
/// id. If `only` is given, a model with another `type` is skipped.
///
/// A row without an id is skipped, and a field that cannot be read is left out: one odd row must
/// not fail the whole list.
///
/// # Errors
/// A message if the body is not a list.
pub fn read(body: &[u8], owner: &str, prefix: &str, only: Option<&str>) -> Result<Page, String> {
    let list: Value = serde_json::from_slice(body)
        .map_err(|error| format!("it is no list ({})", position_of(&error)))?;
    // Cohere calls the list `models`.
    let rows = ["data", "models"]
        .iter()
        .find_map(|name| list.get(name)?.as_array())
        .ok_or("it is no list")?;
    let mut seen = HashSet::new();
    let entries = rows
        .iter()
        .filter_map(|row| entry(row, owner, prefix, only))
        .filter(|entry| seen.insert(entry.id.clone()))
        .collect();
    let more = list.get("has_more").and_then(Value::as_bool) == Some(true);
    let last = list.get("last_id").and_then(Value::as_str);
    Ok(Page {
        entries,
        after: last.filter(|_| more).map(str::to_owned),
    })
}

fn entry(row: &Value, owner: &str, prefix: &str, only: Option<&str>) -> Option<Entry> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let count = |names: &[&str]| names.iter().find_map(|name| row.get(name)?.as_u64());
    let id = text("id").or_else(|| text("name"))?;
    let id = id.strip_prefix(prefix).unwrap_or(id);
    let retired = row.get("active").and_then(Value::as_bool) == Some(false);
    let endpoints = row.get("endpoints").and_then(Value::as_array);
    let chats = endpoints.is_none_or(|list| list.iter().any(|endpoint| endpoint == "chat"))
        && only.is_none_or(|only| text("type").is_none_or(|kind| kind == only));
    if id.is_empty() || retired || !chats {
        return None;
    }
    Some(Entry {
        id: id.to_owned(),
        object: "model",
        created: count(&["created", "created_at"])
            .or_else(|| text("created_at").and_then(seconds))
            .unwrap_or(0),
        owned_by: text("owned_by").unwrap_or(owner).to_owned(),
        display_name: text("display_name").map(str::to_owned),
        context_window: count(&[
            "context_window",
            "context_length",
            "max_context_length",
            "max_input_tokens",
        ]),
        max_output_tokens: count(&["max_tokens", "max_completion_tokens"]),
        source: None,
    })
}

/// Converts RFC 3339, as in `2026-02-19T00:00:00Z`, to seconds since 1970.
fn seconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (m * 153 + 2) / 5 + day
            - 1
            - 719_468;
    u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-02-19T00:00:00Z", Some(1_771_459_200)),
            ("1994-11-06T08:49:37Z", Some(784_111_777)),
            ("soon", None),
            ("2026-13-01T00:00:00Z", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    fn ids(body: &str, prefix: &str, only: Option<&str>) -> Vec<String> {
        read(body.as_bytes(), "x", prefix, only)
            .unwrap()
            .entries
            .into_iter()
            .map(|entry| entry.id)
            .collect()
    }

    #[test]
    fn every_shape_of_list_is_read() {
        assert_eq!(
            ids(
                r#"{"object":"list","data":[{"id":"models/a"},{"id":"b","created":15},{"id":"b"}]}"#,
                "models/",
                None
            ),
            ["a", "b"]
        );
        assert_eq!(
            ids(
                r#"{"data":[{"id":"a","type":"language"},{"id":"b","type":"embedding"},{"id":"c"}]}"#,
                "",
                Some("language")
            ),
            ["a", "c"]
        );
        assert_eq!(
            ids(
                r#"{"models":[{"name":"a","endpoints":["chat","x"]},{"name":"b","endpoints":["embed"]}]}"#,
                "",
                None
            ),
            ["a"]
        );
        assert_eq!(
            ids(
                r#"{"data":[{"id":"a","active":false},{"id":""}]}"#,
                "",
                None
            )
            .len(),
            0
        );
        assert_eq!(
            ids(
                r#"{"data":[7,{"id":5},{"id":"a","max_tokens":1,"max_completion_tokens":2,"context_window":1.5,"created":"soon"},null]}"#,
                "",
                None
            ),
            ["a"]
        );
        assert!(read(b"{}", "x", "", None).is_err());
    }

    #[test]
    fn a_page_tells_where_the_next_begins() {
        let body = br#"{"data":[{"type":"model","id":"claude-x","display_name":"X","created_at":"2026-02-19T00:00:00Z","max_input_tokens":5,"max_tokens":3}],"has_more":true,"first_id":"claude-x","last_id":"claude-x"}"#;
        let page = read(body, "anthropic", "", None).unwrap();
        assert_eq!(page.after.as_deref(), Some("claude-x"));
        let entry = &page.entries[0];
        assert_eq!(
            (
                entry.created,
                entry.owned_by.as_str(),
                entry.context_window,
                entry.max_output_tokens
            ),
            (1_771_459_200, "anthropic", Some(5), Some(3))
        );
        let last = br#"{"data":[],"has_more":false,"last_id":"x"}"#;
        assert_eq!(read(last, "x", "", None).unwrap().after, None);
    }
}
