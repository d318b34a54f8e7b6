//! Parts of a message -> content blocks. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use super::wire::{Block, Source};
use crate::codec::json::{self, Object, Raw, fields};
use crate::dialect::hub::{Message, Part, Place};
use crate::error::Error;

/// The text parts of a system message.
pub(super) fn texts(message: Message<'_>) -> Result<Vec<Block<'_>>, Error> {
    let at = message.at;
    let mut blocks = Vec::new();
    for (j, part) in message.content.into_iter().enumerate() {
        match part {
            Part::Text { text, other } => blocks.extend(text_block(text, other)),
            _ => {
                return Err(Error::unsupported_value(
                    format!("{at}.content[{j}].type"),
                    "system messages can hold text only.",
                ));
            }
        }
    }
    Ok(blocks)
}

/// A text block; none where there is nothing but white space, which the provider refuses.
pub(super) fn text_block<'a>(text: Cow<'a, str>, mut other: Object<'a>) -> Option<Block<'a>> {
    if text.trim().is_empty() {
        return None;
    }
    Some(Block::Text {
        text,
        cache_control: marker(&mut other),
    })
}

/// The cache marker of a part: Anthropic's own, or OpenAI's breakpoint in its words.
fn marker<'a>(other: &mut Object<'a>) -> Option<Raw<'a>> {
    let own = other.take("cache_control");
    let breakpoint = other.take("prompt_cache_breakpoint");
    own.or_else(|| {
        let breakpoint = breakpoint?;
        // The provider knows five minutes and an hour.
        let hour = breakpoint.get().contains("\"30m\"") || breakpoint.get().contains("\"12h\"");
        let marker = if hour {
            fields!({"type": "ephemeral", "ttl": "1h"})
        } else {
            fields!({"type": "ephemeral"})
        };
        Some(Cow::Owned(json::raw(&marker)))
    })
}

/// Parts of a message, wherever blocks of any kind may stand.
pub(super) fn parts(parts: Vec<Part<'_>>, at: Place) -> Result<Vec<Block<'_>>, Error> {
    let mut blocks = Vec::with_capacity(parts.len());
    for (j, part) in parts.into_iter().enumerate() {
        blocks.extend(user_part(part, at, j)?);
    }
    Ok(blocks)
}

fn user_part(part: Part<'_>, at: Place, j: usize) -> Result<Option<Block<'_>>, Error> {
    Ok(match part {
        Part::Text { text, other } => text_block(text, other),
        Part::Refusal(text) => text_block(text, Object::default()),
        Part::Image { url, mut other, .. } => Some(Block::Image {
            source: image(url, &format!("{at}.content[{j}].image_url.url"))?,
            cache_control: marker(&mut other),
        }),
        Part::File { file, other } => {
            Some(file_block(file, other, &format!("{at}.content[{j}].file"))?)
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

fn image<'a>(url: Cow<'a, str>, param: &str) -> Result<Source<'a>, Error> {
    if url.starts_with("https://") {
        return Ok(Source::Url { url });
    }
    let Some((media_type, data)) = data_url(&url) else {
        return Err(Error::unsupported_value(
            param,
            "use an https: URL or a data: URL with base64.",
        ));
    };
    let media_type = match media_type {
        "image/jpg" => "image/jpeg",
        known @ ("image/jpeg" | "image/png" | "image/gif" | "image/webp") => known,
        other => {
            return Err(Error::unsupported_value(
                param,
                format!("'{other}' is none of image/jpeg, image/png, image/gif, image/webp."),
            ));
        }
    };
    Ok(Source::Base64 {
        media_type: media_type.to_owned(),
        data: without_space(data),
    })
}

fn file_block<'a>(
    mut file: Object<'a>,
    mut other: Object<'a>,
    param: &str,
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
    let cache_control = marker(&mut other);
    if id.is_some() {
        return Err(Error::unsupported_value(
            format!("{param}.file_id"),
            "Anthropic does not know OpenAI's files; send the content as file_data.",
        ));
    }
    let link = url.or_else(|| data.clone().filter(|data| data.starts_with("https://")));
    if let Some(url) = link {
        return Ok(Block::Document {
            source: Source::Url { url },
            title,
            cache_control,
        });
    }
    let Some(data) = data else {
        return Err(Error::Missing {
            param: format!("{param}.file_data"),
        });
    };
    let param = format!("{param}.file_data");
    let Some((media_type, payload)) = data_url(&data) else {
        return Err(Error::unsupported_value(
            param,
            "use a data: URL with base64, as in data:application/pdf;base64,….",
        ));
    };
    if media_type.starts_with("image/") {
        return Ok(Block::Image {
            source: image(data, &param)?,
            cache_control,
        });
    }
    let source = match media_type {
        "application/pdf" => Source::Base64 {
            media_type: media_type.to_owned(),
            data: Cow::Owned(without_space(payload).into_owned()),
        },
        kind if kind.starts_with("text/") => {
            let text = BASE64
                .decode(without_space(payload).as_bytes())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            Source::Text {
                media_type: "text/plain",
                data: text
                    .ok_or_else(|| Error::invalid(param, "it is no base64 of UTF-8 text."))?,
            }
        }
        other => {
            return Err(Error::unsupported_value(
                param,
                format!("files of type '{other}' cannot be sent to Anthropic."),
            ));
        }
    };
    Ok(Block::Document {
        source,
        title,
        cache_control,
    })
}

/// Media type and payload of a `data:` URL with base64.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, payload) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next().unwrap_or_default(), payload))
}

fn without_space(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.chars().filter(|c| !c.is_ascii_whitespace()).collect())
}

/// A call's arguments as an object, whatever the model wrote: a call that was cut off must not
/// make the whole conversation unusable.
pub(super) fn arguments<'a>(text: &Cow<'a, str>) -> Raw<'a> {
    if text.trim().is_empty() {
        return Cow::Owned(json::raw(&Object::default()));
    }
    let parsed = match text {
        Cow::Borrowed(text) => serde_json::from_str::<&'a RawValue>(text).map(Cow::Borrowed),
        Cow::Owned(text) => serde_json::from_str::<Box<RawValue>>(text).map(Cow::Owned),
    };
    match parsed {
        Ok(value) if value.get().starts_with('{') => value,
        Ok(value) => Cow::Owned(json::raw(&fields!({"value": value}))),
        Err(_) => Cow::Owned(json::raw(&fields!({"_invalid_json": text}))),
    }
}
