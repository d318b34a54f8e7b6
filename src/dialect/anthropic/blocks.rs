//! Encodes the parts of a message as content blocks. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use super::wire::{Block, Source};
use crate::codec::json::{self, Object, Raw, fields};
use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{Part, Place};
use crate::error::Error;

/// The name of content parts in a report.
const CONTENT: &str = "messages.content";

/// Encodes the parts of a system message, which can be text only.
pub(super) fn texts<'a>(
    parts: Vec<Part<'a>>,
    at: Place,
    report: &mut TranslationReport,
) -> Result<Vec<Block<'a>>, Error> {
    let mut blocks = Vec::new();
    for (j, part) in parts.into_iter().enumerate() {
        match part {
            Part::Text { text, other } => blocks.extend(text_block(text, other, report)),
            Part::Image { .. } | Part::File { .. } | Part::Refusal { .. } | Part::Other { .. } => {
                return Err(Error::unsupported_value(
                    format!("{at}.content[{j}].type"),
                    "system messages can hold text only.",
                ));
            }
        }
    }
    Ok(blocks)
}

/// Encodes a text block; `None` for blank text, which the provider refuses.
pub(super) fn text_block<'a>(
    text: Cow<'a, str>,
    mut other: Object<'a>,
    report: &mut TranslationReport,
) -> Option<Block<'a>> {
    if text.trim().is_empty() {
        if !text.is_empty() {
            report.dropped.push(CONTENT.to_owned());
        }
        report.drop_members(&other, CONTENT);
        return None;
    }
    let cache_control = marker(&mut other, report);
    report.drop_members(&other, CONTENT);
    Some(Block::Text {
        text,
        cache_control,
    })
}

/// The cache marker of a part: Anthropic's `cache_control`, or one derived from OpenAI's
/// `prompt_cache_breakpoint`.
fn marker<'a>(other: &mut Object<'a>, report: &mut TranslationReport) -> Option<Raw<'a>> {
    const BREAKPOINT: &str = "prompt_cache_breakpoint";
    let own = other.take("cache_control");
    let Some(breakpoint) = other.take(BREAKPOINT) else {
        return own;
    };
    report.changed.push(format!("{CONTENT}.{BREAKPOINT}"));
    own.or_else(|| {
        // Anthropic caches for five minutes or one hour; 30 minutes and 12 hours become one hour.
        let hour = breakpoint.get().contains("\"30m\"") || breakpoint.get().contains("\"12h\"");
        let marker = if hour {
            fields!({"type": "ephemeral", "ttl": "1h"})
        } else {
            fields!({"type": "ephemeral"})
        };
        Some(Cow::Owned(json::raw(&marker)))
    })
}

/// Encodes the parts of a message in which every kind of block is allowed.
pub(super) fn parts<'a>(
    parts: Vec<Part<'a>>,
    at: Place,
    report: &mut TranslationReport,
) -> Result<Vec<Block<'a>>, Error> {
    let mut blocks = Vec::with_capacity(parts.len());
    for (j, part) in parts.into_iter().enumerate() {
        blocks.extend(user_part(part, at, j, report)?);
    }
    Ok(blocks)
}

fn user_part<'a>(
    part: Part<'a>,
    at: Place,
    j: usize,
    report: &mut TranslationReport,
) -> Result<Option<Block<'a>>, Error> {
    Ok(match part {
        Part::Text { text, other } => text_block(text, other, report),
        Part::Refusal { text, other } => {
            report.changed.push(format!("{CONTENT}.refusal"));
            text_block(text, other, report)
        }
        Part::Image {
            url,
            detail,
            image: more,
            other,
        } => {
            report.drop_members(&more, "messages.content.image_url");
            if detail.is_some_and(|detail| detail != "auto") {
                report.dropped.push(format!("{CONTENT}.image_url.detail"));
            }
            let param = format!("{at}.content[{j}].image_url.url");
            let data = Data {
                name: "messages.content.image_url.url",
                title: None,
                cache_control: None,
            };
            Some(image(url, &param, data, other, report)?)
        }
        Part::File { file, other } => {
            let param = format!("{at}.content[{j}].file");
            Some(file_block(file, other, &param, report)?)
        }
        Part::Other { kind, value } => {
            let own = matches!(&*kind, "image" | "document" | "search_result")
                && value.get().contains("\"source\"");
            if !own {
                return Err(Error::unsupported_value(
                    format!("{at}.content[{j}].type"),
                    format!("parts of type '{kind}' cannot be sent to Anthropic."),
                ));
            }
            Some(Block::Verbatim(value))
        }
    })
}

/// What goes along with the data of a `data:` URL.
struct Data<'a> {
    /// The name of the URL in a report.
    name: &'static str,
    title: Option<Cow<'a, str>>,
    cache_control: Option<Raw<'a>>,
}

fn image<'a>(
    url: Cow<'a, str>,
    param: &str,
    mut data: Data<'a>,
    mut other: Object<'a>,
    report: &mut TranslationReport,
) -> Result<Block<'a>, Error> {
    data.cache_control = marker(&mut other, report);
    report.drop_members(&other, CONTENT);
    if url.starts_with("https://") {
        return Ok(Block::Image {
            source: Source::Url { url },
            cache_control: data.cache_control,
        });
    }
    let Some((media_type, payload)) = data_url(&url) else {
        return Err(Error::unsupported_value(
            param,
            "use an https: URL or a data: URL with base64.",
        ));
    };
    match true_type(media_type, payload, data.name, report) {
        known @ ("image/jpeg" | "image/png" | "image/gif" | "image/webp" | PDF) => {
            Ok(binary(known, payload, data, report))
        }
        other => Err(Error::unsupported_value(
            param,
            format!("'{other}' is none of image/jpeg, image/png, image/gif, image/webp."),
        )),
    }
}

const PDF: &str = "application/pdf";

/// Encodes an image or a PDF.
fn binary<'a>(
    media_type: &str,
    payload: &str,
    data: Data<'a>,
    report: &mut TranslationReport,
) -> Block<'a> {
    let source = Source::Base64 {
        media_type: media_type.to_owned(),
        data: without_space(payload),
    };
    if media_type == PDF {
        return Block::Document {
            source,
            title: data.title,
            cache_control: data.cache_control,
        };
    }
    if data.title.is_some() {
        report.dropped.push(format!("{CONTENT}.file.filename"));
    }
    Block::Image {
        source,
        cache_control: data.cache_control,
    }
}

/// The real media type of data. The provider refuses data whose declared type is wrong.
fn true_type<'t>(
    called: &'t str,
    payload: &str,
    name: &str,
    report: &mut TranslationReport,
) -> &'t str {
    let called = match called {
        "image/jpg" => "image/jpeg",
        called => called,
    };
    match type_of(payload) {
        Some(found) if found != called => {
            report.changed.push(name.to_owned());
            found
        }
        _ => called,
    }
}

/// The media type that the first bytes of base64 data show; `None` if it is unknown.
fn type_of(payload: &str) -> Option<&'static str> {
    const START: usize = 16;
    let start: String = payload
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .take(START)
        .collect();
    let bytes = BASE64.decode(start).ok()?;
    match bytes.as_slice() {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some(PDF),
        _ => None,
    }
}

fn file_block<'a>(
    mut file: Object<'a>,
    mut other: Object<'a>,
    param: &str,
    report: &mut TranslationReport,
) -> Result<Block<'a>, Error> {
    let mut text = |name: &str| {
        file.take(name)
            .map(|raw| json::text(&raw, &format_args!("{param}.{name}")))
            .transpose()
    };
    let title = text("filename")?;
    let data = text("file_data")?;
    let url = text("file_url")?;
    let id = text("file_id")?;
    if id.is_some() {
        return Err(Error::unsupported_value(
            format!("{param}.file_id"),
            "Anthropic does not know OpenAI's files; send the content as file_data.",
        ));
    }
    report.drop_members(&file, "messages.content.file");
    let (url, data) = match (url, data) {
        (Some(url), Some(_)) => {
            report.dropped.push(FILE_DATA.to_owned());
            (Some(url), None)
        }
        (None, Some(data)) if data.starts_with("https://") => (Some(data), None),
        both => both,
    };
    if let Some(url) = url {
        let cache_control = marker(&mut other, report);
        report.drop_members(&other, CONTENT);
        return Ok(Block::Document {
            source: Source::Url { url },
            title,
            cache_control,
        });
    }
    let Some(url) = data else {
        return Err(Error::Missing {
            param: format!("{param}.file_data"),
        });
    };
    let param = format!("{param}.file_data");
    let Some((media_type, payload)) = data_url(&url) else {
        return Err(Error::unsupported_value(
            param,
            "use a data: URL with base64, as in data:application/pdf;base64,….",
        ));
    };
    if media_type.starts_with("text/") {
        if media_type != "text/plain" {
            report.changed.push(FILE_DATA.to_owned());
        }
        let source = plain_text(payload, param)?;
        let cache_control = marker(&mut other, report);
        report.drop_members(&other, CONTENT);
        return Ok(Block::Document {
            source,
            title,
            cache_control,
        });
    }
    let known = media_type.starts_with("image/") || media_type == PDF;
    if !known && type_of(payload).is_none() {
        return Err(Error::unsupported_value(
            param,
            format!("files of type '{media_type}' cannot be sent to Anthropic."),
        ));
    }
    let data = Data {
        name: FILE_DATA,
        title,
        cache_control: None,
    };
    image(url, &param, data, other, report)
}

const FILE_DATA: &str = "messages.content.file.file_data";

fn plain_text<'a>(payload: &str, param: String) -> Result<Source<'a>, Error> {
    let text = BASE64
        .decode(without_space(payload).as_bytes())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(Source::Text {
        media_type: "text/plain",
        data: text.ok_or_else(|| Error::invalid(param, "it is no base64 of UTF-8 text."))?,
    })
}

/// Splits a base64 `data:` URL into media type and payload.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, payload) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next().unwrap_or_default(), payload))
}

fn without_space(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.chars().filter(|c| !c.is_ascii_whitespace()).collect())
}

/// Encodes a call's arguments as an object, whatever the model wrote. A call that was cut off must
/// not make the rest of the conversation unusable.
pub(super) fn arguments<'a>(text: &Cow<'a, str>, report: &mut TranslationReport) -> Raw<'a> {
    if text.trim().is_empty() {
        return Cow::Owned(json::raw(&Object::default()));
    }
    let parsed = match text {
        Cow::Borrowed(text) => serde_json::from_str::<&'a RawValue>(text).map(Cow::Borrowed),
        Cow::Owned(text) => serde_json::from_str::<Box<RawValue>>(text).map(Cow::Owned),
    };
    if let Ok(value) = &parsed
        && value.get().starts_with('{')
    {
        return value.clone();
    }
    report
        .changed
        .push("messages.tool_calls.function.arguments".to_owned());
    match parsed {
        Ok(value) => Cow::Owned(json::raw(&fields!({"value": value}))),
        Err(_) => Cow::Owned(json::raw(&fields!({"_invalid_json": text}))),
    }
}
