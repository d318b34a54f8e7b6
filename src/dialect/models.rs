//! Lists of models in every shape the providers use. Pure.

use serde::{Deserialize, Serialize};

/// A model of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The id by which a client asks for it.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// When it was made, in seconds since 1970; 0 where that is not told.
    pub created: u64,
    /// Whose it is.
    pub owned_by: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The most tokens it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// The most tokens it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// `catalogue` where the entry is bundled with the gateway and was not listed by the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'static str>,
}

/// One page of a list.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// Its models; ids as the provider writes them.
    pub entries: Vec<Entry>,
    /// Where the next page begins, if there is one.
    pub after: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    /// `models` is Cohere's own word.
    #[serde(alias = "models")]
    data: Vec<Row>,
    #[serde(default)]
    has_more: Option<bool>,
    #[serde(default)]
    last_id: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    created: Option<serde_json::Number>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    owned_by: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    active: Option<bool>,
    #[serde(default)]
    endpoints: Option<Vec<String>>,
    #[serde(
        default,
        alias = "context_length",
        alias = "max_context_length",
        alias = "max_input_tokens"
    )]
    context_window: Option<u64>,
    #[serde(default, alias = "max_completion_tokens")]
    max_tokens: Option<u64>,
}

/// Reads one page. `owner` is who owns a model that names no one, `prefix` what stands before each
/// id, `only` the `type` of the models that chat where the list holds others.
///
/// # Errors
/// A text where it is no list.
pub fn read(body: &[u8], owner: &str, prefix: &str, only: Option<&str>) -> Result<Page, String> {
    let wire: Wire =
        serde_json::from_slice(body).map_err(|error| format!("it is no list ({error})"))?;
    let mut entries: Vec<Entry> = Vec::new();
    for row in wire.data {
        let chats = row.active != Some(false)
            && row
                .endpoints
                .is_none_or(|endpoints| endpoints.iter().any(|endpoint| endpoint == "chat"))
            && only.is_none_or(|only| row.kind.is_none_or(|kind| kind == only));
        let Some(id) = row.id.or_else(|| row.name.clone()) else {
            continue;
        };
        let id = id.strip_prefix(prefix).unwrap_or(&id).to_owned();
        if !chats || id.is_empty() || entries.iter().any(|entry| entry.id == id) {
            continue;
        }
        let created = row.created.and_then(|seconds| seconds.as_u64());
        entries.push(Entry {
            id,
            object: "model",
            created: created
                .or_else(|| row.created_at.as_deref().and_then(seconds))
                .unwrap_or(0),
            owned_by: row.owned_by.unwrap_or_else(|| owner.to_owned()),
            display_name: row.display_name,
            context_window: row.context_window,
            max_output_tokens: row.max_tokens,
            source: None,
        });
    }
    Ok(Page {
        entries,
        after: wire.last_id.filter(|_| wire.has_more == Some(true)),
    })
}

/// RFC 3339, as in `2026-02-19T00:00:00Z`, in seconds since 1970.
fn seconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, years beginning in March.
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
