//! Decodes the content of items into parts of messages. Pure.

use std::borrow::Cow;

use crate::codec::json::{self, Object, Raw};
use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{Message, Part};
use crate::error::Error;

/// Fields that mean nothing to another provider: it does not know the ids, and a history is always
/// complete.
const IGNORED: [&str; 3] = ["id", "status", "object"];

/// Reports the fields of an object that were not decoded.
pub(super) fn report_rest(object: &Object<'_>, at: &str, report: &mut TranslationReport) {
    let says = |value: &str| !matches!(value, "null" | "[]" | "{}" | "\"\"");
    let rest = object
        .fields
        .iter()
        .filter(|field| !IGNORED.contains(&&*field.name) && says(field.value.get()));
    report
        .dropped
        .extend(rest.map(|field| format!("{at}.{}", field.name)));
}

/// The content of a message or of a tool result.
pub(super) struct Content<'a> {
    pub parts: Vec<Part<'a>>,
    pub refusal: Option<Cow<'a, str>>,
}

/// Joins the text parts of a message into one string, which every provider accepts.
pub(super) fn join_texts(message: &mut Message<'_>) {
    if message
        .content
        .iter()
        .all(|part| matches!(part, Part::Text { .. }))
    {
        let joined: String = message
            .content
            .iter()
            .filter_map(|part| match part {
                Part::Text { text, .. } => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        message.plain = true;
        message.content = if joined.is_empty() {
            Vec::new()
        } else {
            vec![Part::text(joined)]
        };
    }
}

/// Decodes the content at `at`. What is left out is reported as fields of `named`.
pub(super) fn read_content<'a>(
    content: &Raw<'a>,
    at: &str,
    named: &str,
    report: &mut TranslationReport,
) -> Result<Content<'a>, Error> {
    if content.get().starts_with('"') {
        return Ok(Content {
            parts: vec![Part::text(json::text(content, &at)?)],
            refusal: None,
        });
    }
    let list = json::array(content, &at)
        .map_err(|_| Error::wrong_type(at, "a string or an array of parts"))?;
    let mut parts = Vec::with_capacity(list.len());
    let mut refusal: Option<Cow<'a, str>> = None;
    for (j, raw) in list.iter().enumerate() {
        match read_part(raw, &format!("{at}[{j}]"), named, report)? {
            // A hub message has one refusal, so several parts are joined.
            Part::Refusal { text, .. } => match &mut refusal {
                Some(all) => all.to_mut().push_str(&text),
                None => refusal = Some(text),
            },
            part => parts.push(part),
        }
    }
    Ok(Content { parts, refusal })
}

fn read_part<'a>(
    raw: &Raw<'a>,
    at: &str,
    named: &str,
    report: &mut TranslationReport,
) -> Result<Part<'a>, Error> {
    let mut part = json::object(raw, &at)?;
    let optional = |part: &mut Object<'a>, name: &str| {
        part.take(name)
            .map(|raw| json::text(&raw, &format_args!("{at}.{name}")))
            .transpose()
    };
    let missing = |name: &str| Error::Missing {
        param: format!("{at}.{name}"),
    };
    let kind = optional(&mut part, "type")?.ok_or_else(|| missing("type"))?;
    let read = match &*kind {
        "input_text" | "output_text" | "text" => {
            Part::text(optional(&mut part, "text")?.ok_or_else(|| missing("text"))?)
        }
        "refusal" => {
            let text = optional(&mut part, "refusal")?.ok_or_else(|| missing("refusal"))?;
            Part::Refusal {
                text,
                other: Object::default(),
            }
        }
        "input_image" => image(&mut part, at, named, report)?,
        "input_file" => file(&mut part, at)?,
        "input_audio" => {
            return Ok(Part::Other {
                kind,
                value: raw.clone(),
            });
        }
        other => {
            let own = match other {
                "image_url" => "use 'input_image'.",
                "file" => "use 'input_file'.",
                _ => "they cannot be sent to this provider.",
            };
            return Err(Error::unsupported_value(
                format!("{at}.type"),
                format!("Responses with this provider have no parts of type '{other}': {own}"),
            ));
        }
    };
    report_rest(&part, named, report);
    Ok(read)
}

fn image<'a>(
    part: &mut Object<'a>,
    at: &str,
    named: &str,
    report: &mut TranslationReport,
) -> Result<Part<'a>, Error> {
    let url = part.take("image_url").ok_or_else(|| {
        Error::unsupported_value(
            format!("{at}.file_id"),
            "this provider does not know OpenAI's files; send an image_url.",
        )
    })?;
    let url = json::text(&url, &format_args!("{at}.image_url"))?;
    let detail = part
        .take("detail")
        .map(|raw| json::text(&raw, &format_args!("{at}.detail")))
        .transpose()?
        .map(|detail| match &*detail {
            "original" => {
                report.changed.push(format!("{named}.detail"));
                Cow::Borrowed("high")
            }
            _ => detail,
        });
    Ok(Part::Image {
        url,
        detail,
        image: Object::default(),
        other: Object::default(),
    })
}

fn file<'a>(part: &mut Object<'a>, at: &str) -> Result<Part<'a>, Error> {
    if part.take("file_id").is_some() {
        return Err(Error::unsupported_value(
            format!("{at}.file_id"),
            "this provider does not know OpenAI's files; send file_data.",
        ));
    }
    let mut file = Object::default();
    for name in ["file_data", "filename", "file_url"] {
        if let Some(value) = part.take(name) {
            file.push(name, value);
        }
    }
    Ok(Part::File {
        file,
        other: Object::default(),
    })
}
