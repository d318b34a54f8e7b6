//! JSON objects parsed one level deep; values keep their original text. Pure.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use memchr::{memchr, memmem};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::depth::too_deep;
use super::spliced::Spliced;
use crate::error::Error;

pub use super::depth::MAX_DEPTH;
pub use super::text::{Text, Word};

/// The text of a JSON value, borrowed from the request or owned.
pub type Raw<'a> = Cow<'a, RawValue>;

/// A member of an object.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// The name, unescaped.
    pub name: Cow<'a, str>,
    /// The value, as it was written.
    pub value: Raw<'a>,
}

/// A JSON object whose members keep their order and the text of their values.
#[derive(Debug, Clone, Default)]
pub struct Object<'a> {
    /// The members, in their original order.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Object<'a> {
    /// Parses a request body: one JSON object in UTF-8.
    ///
    /// # Errors
    /// `InvalidJson` if the body is not UTF-8, not JSON, nested deeper than [`MAX_DEPTH`], or has a
    /// member twice; `InvalidType` if the value is not an object.
    pub fn from_body(body: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|error| Error::InvalidJson {
            param: None,
            message: format!(
                "The request body is not valid UTF-8 (byte {}).",
                error.valid_up_to()
            ),
        })?;
        if text.trim().is_empty() {
            return Err(Error::InvalidJson {
                param: None,
                message: "The request body is empty; send a JSON object.".to_owned(),
            });
        }
        if let Some(field) = too_deep(text) {
            let param = (!field.is_empty()).then_some(field);
            let place = param.as_ref().map(|name| format!(" in '{name}'"));
            let place = place.unwrap_or_default();
            return Err(Error::InvalidJson {
                param,
                message: format!(
                    "The request body is nested deeper than {MAX_DEPTH} levels{place}."
                ),
            });
        }
        let object: Self = serde_json::from_str(text).map_err(|error| {
            if error.is_data() && !text.trim_start().starts_with('{') {
                return Error::wrong_type("body", "a JSON object");
            }
            Error::InvalidJson {
                param: None,
                message: format!("The request body is not valid JSON: {error}."),
            }
        })?;
        if let Some(name) = duplicate_name(&object.fields) {
            return Err(Error::InvalidJson {
                param: Some(name.to_owned()),
                message: format!("The request body has '{name}' twice."),
            });
        }
        Ok(object)
    }

    /// Parses an object inside a body that already passed [`Object::from_body`].
    ///
    /// # Errors
    /// `InvalidType` for `param` if the value is not an object.
    pub fn from_raw(raw: &'a RawValue, param: &dyn fmt::Display) -> Result<Self, Error> {
        serde_json::from_str(raw.get())
            .map_err(|_| Error::wrong_type(param.to_string(), "an object"))
    }

    /// The value of a member; `None` if it is absent or `null`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Raw<'a>> {
        self.fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| &field.value)
            .filter(|value| value.get() != "null")
    }

    /// Removes a member and returns its value; `None` if it is absent or `null`.
    pub fn take(&mut self, name: &str) -> Option<Raw<'a>> {
        let at = self.fields.iter().position(|field| field.name == name)?;
        Some(self.fields.remove(at).value).filter(|value| value.get() != "null")
    }

    /// Removes a member and parses it as `T`; `None` if it is absent or `null`.
    ///
    /// # Errors
    /// `InvalidType` for `prefix` + `name` if the value is not a `T`.
    pub fn read<T: Expected>(&mut self, prefix: &str, name: &str) -> Result<Option<T>, Error> {
        self.take(name)
            .map(|raw| read(&raw, &format_args!("{prefix}{name}")))
            .transpose()
    }

    /// Appends a member.
    pub fn push(&mut self, name: impl Into<Cow<'a, str>>, value: Raw<'a>) {
        self.fields.push(Field {
            name: name.into(),
            value,
        });
    }
}

/// Sets the value of a member, in its place or at the end.
pub fn put<'a>(object: &mut Object<'a>, name: impl Into<Cow<'a, str>>, value: Box<RawValue>) {
    let name = name.into();
    match object.fields.iter_mut().find(|field| field.name == name) {
        Some(field) => field.value = Cow::Owned(value),
        None => object.push(name, Cow::Owned(value)),
    }
}

/// A name that occurs twice; `None` if all are different.
fn duplicate_name<'f>(fields: &'f [Field<'_>]) -> Option<&'f str> {
    if fields.len() <= 16 {
        let mut rest = fields;
        while let [first, others @ ..] = rest {
            if others.iter().any(|other| other.name == first.name) {
                return Some(&first.name);
            }
            rest = others;
        }
        return None;
    }
    let mut seen: Vec<&str> = fields.iter().map(|field| field.name.as_ref()).collect();
    seen.sort_unstable();
    let pair = seen.windows(2).find(|pair| pair.first() == pair.last())?;
    pair.first().copied()
}

impl Object<'_> {
    /// Replaces every unpaired surrogate escape with U+FFFD; JSON's grammar allows them, but they
    /// are not characters. Returns the names of the members that had one.
    pub fn replace_lone_surrogates(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        for field in &mut self.fields {
            let Some(whole) = without_lone_surrogates(field.value.get()) else {
                continue;
            };
            if let Ok(value) = RawValue::from_string(whole) {
                field.value = Cow::Owned(value);
                names.push(field.name.to_string());
            }
        }
        names
    }
}

/// A JSON text with unpaired surrogate escapes replaced; `None` if it has none.
#[must_use]
pub fn without_lone_surrogates(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let escaped = [&b"\\ud"[..], b"\\uD"];
    if escaped
        .iter()
        .all(|start| memmem::find(bytes, start).is_none())
    {
        return None;
    }
    let code = |at: usize| -> Option<u16> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut from, mut at) = (String::new(), 0, 0);
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        at += next;
        at += match (code(at), code(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str(text.get(from..at).unwrap_or_default());
                out.push_str("\\ufffd");
                from = at + 6;
                6
            }
            // A backslash occurs only in strings, and always with one more character.
            _ => 2,
        };
    }
    if from == 0 {
        return None;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Some(out)
}

/// A type that a JSON value can be parsed as.
pub trait Expected: for<'de> Deserialize<'de> {
    /// The type's name in error messages after "expected", as in "a string".
    const NAME: &'static str;
}

macro_rules! expected {
    ($($type:ty => $name:literal),* $(,)?) => {
        $(impl Expected for $type { const NAME: &'static str = $name; })*
    };
}

expected! {
    bool => "a boolean",
    f64 => "a number",
    u64 => "a non-negative integer",
    i64 => "an integer",
    String => "a string",
    Vec<String> => "an array of strings",
}

/// Parses one value.
///
/// # Errors
/// `InvalidType` for `param` if the value is not a `T`; `InvalidValue` if it is a string with an
/// unpaired surrogate.
pub fn read<T: Expected>(raw: &RawValue, param: &dyn fmt::Display) -> Result<T, Error> {
    serde_json::from_str(raw.get()).map_err(|_| wrong(raw, param, T::NAME))
}

/// The error for a value that could not be parsed.
fn wrong(raw: &RawValue, param: &dyn fmt::Display, expected: &'static str) -> Error {
    if raw.get().starts_with('"') && expected == String::NAME {
        return Error::invalid(
            param.to_string(),
            "it holds half of a surrogate pair, which is no character; send both halves, or U+FFFD.",
        );
    }
    Error::wrong_type(param.to_string(), expected)
}

/// Parses a string; borrowed if it has no escapes.
///
/// # Errors
/// `InvalidType` for `param` if the value is not a string; `InvalidValue` if it has an unpaired
/// surrogate.
pub fn text<'a>(raw: &Raw<'a>, param: &dyn fmt::Display) -> Result<Cow<'a, str>, Error> {
    match raw {
        Cow::Borrowed(raw) => {
            let Text(text) =
                serde_json::from_str(raw.get()).map_err(|_| wrong(raw, param, String::NAME))?;
            Ok(text)
        }
        Cow::Owned(raw) => serde_json::from_str(raw.get())
            .map(Cow::Owned)
            .map_err(|_| wrong(raw, param, String::NAME)),
    }
}

/// Parses an array; the elements keep their text.
///
/// # Errors
/// `InvalidType` for `param` if the value is not an array.
pub fn array<'a>(raw: &Raw<'a>, param: &dyn fmt::Display) -> Result<Vec<Raw<'a>>, Error> {
    let wrong = |_| Error::wrong_type(param.to_string(), "an array");
    Ok(match raw {
        Cow::Borrowed(raw) => serde_json::from_str::<Vec<&RawValue>>(raw.get())
            .map_err(wrong)?
            .into_iter()
            .map(Cow::Borrowed)
            .collect(),
        Cow::Owned(raw) => serde_json::from_str::<Vec<Box<RawValue>>>(raw.get())
            .map_err(wrong)?
            .into_iter()
            .map(Cow::Owned)
            .collect(),
    })
}

/// Parses an object of a request.
///
/// # Errors
/// `InvalidType` for `param` if the value is not an object; `InvalidJson` if it has a member twice,
/// because the provider might use the other value.
pub fn object<'a>(raw: &Raw<'a>, param: &dyn fmt::Display) -> Result<Object<'a>, Error> {
    let object = lenient_object(raw, param)?;
    match duplicate_name(&object.fields) {
        Some(name) => Err(Error::InvalidJson {
            param: Some(format!("{param}.{name}")),
            message: format!("The request body has '{param}.{name}' twice."),
        }),
        None => Ok(object),
    }
}

/// Parses an object of a response, which may have a member twice.
///
/// # Errors
/// `InvalidType` for `param` if the value is not an object.
pub fn lenient_object<'a>(raw: &Raw<'a>, param: &dyn fmt::Display) -> Result<Object<'a>, Error> {
    match raw {
        Cow::Borrowed(raw) => Object::from_raw(raw, param),
        Cow::Owned(raw) => {
            let borrowed = Object::from_raw(raw, param)?;
            Ok(Object {
                fields: borrowed
                    .fields
                    .into_iter()
                    .map(|field| Field {
                        name: Cow::Owned(field.name.into_owned()),
                        value: Cow::Owned(field.value.into_owned()),
                    })
                    .collect(),
            })
        }
    }
}

/// Serializes a value as JSON text.
#[must_use]
pub fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("our own types always serialise")
}

/// The initial capacity, in bytes, which fits most outputs; growing costs more than it saves.
const USUAL: usize = 2048;

/// Serializes a value as JSON text.
///
/// # Errors
/// If a raw JSON text inside cannot be written.
pub fn to_vec<T: serde::Serialize + ?Sized>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut out, value)?;
    Ok(out)
}

/// Appends a value as JSON text.
pub fn write<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("our own types always serialise");
}

/// Builds an `Object`, as in `fields!({"name": value})`.
///
/// Unlike a tree of JSON values it embeds raw texts of any depth without parsing them again, so
/// that it cannot fail on what a client or provider sent.
macro_rules! fields {
    ({ $($name:literal : $value:expr),* $(,)? }) => {
        $crate::codec::json::Object {
            fields: vec![$($crate::codec::json::Field {
                name: std::borrow::Cow::Borrowed($name),
                value: std::borrow::Cow::Owned($crate::codec::json::raw(&$value)),
            }),*],
        }
    };
}
pub(crate) use fields;

/// Replaces one value in the body it was borrowed from; all other bytes stay.
///
/// Returns `None` if `value` was not borrowed from `body`.
#[must_use]
pub fn splice(body: &Bytes, value: &Raw<'_>, replacement: Bytes) -> Option<Spliced> {
    Spliced::new(body, value.get(), replacement)
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(Text(name)) = map.next_key()? {
                    let value: &RawValue = map.next_value()?;
                    fields.push(Field {
                        name,
                        value: Cow::Borrowed(value),
                    });
                }
                Ok(Object { fields })
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl serde::Serialize for Object<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|f| (&f.name, &*f.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_splice_changes_one_value_and_no_other_byte() {
        let body = Bytes::from_static(
            br#" {"a":9007199254740993123 , "model" : "groq/x","e":1.0e2,"u":"\u00e9"} "#,
        );
        let object = Object::from_body(&body).unwrap();
        let model = object.get("model").unwrap();
        let out = splice(&body, model, "\"x\"".into()).unwrap().whole();
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            r#" {"a":9007199254740993123 , "model" : "x","e":1.0e2,"u":"\u00e9"} "#
        );
    }

    #[test]
    fn a_value_from_elsewhere_is_not_spliced() {
        let other = raw("x");
        assert!(splice(&Bytes::from_static(b"{}"), &Cow::Owned(other), "1".into()).is_none());
    }

    #[test]
    fn members_keep_their_order_and_null_counts_as_absent() {
        let mut object = Object::from_body(br#"{"b":1,"a":null,"c":[2]}"#).unwrap();
        assert!(object.get("a").is_none());
        assert_eq!(object.read::<u64>("", "b").unwrap(), Some(1));
        let left: Vec<_> = object.fields.iter().map(|f| f.name.as_ref()).collect();
        assert_eq!(left, ["a", "c"]);
    }

    #[test]
    fn a_wrong_type_names_the_field_and_what_was_expected() {
        let mut object = Object::from_body(br#"{"n":"1"}"#).unwrap();
        let error = object.read::<u64>("x.", "n").unwrap_err();
        assert_eq!(error, Error::wrong_type("x.n", "a non-negative integer"));
    }

    #[test]
    fn depth_is_counted_outside_strings_only() {
        let brackets = "[{".repeat(200);
        let flat = format!(r#"{{"model":"m","text":"{brackets} \" {brackets}"}}"#);
        assert!(Object::from_body(flat.as_bytes()).is_ok());

        let wide = format!(r#"{{"list":[{}[]]}}"#, "[],".repeat(500));
        assert!(Object::from_body(wide.as_bytes()).is_ok());

        for depth in [126, 127, 128, 10_000] {
            let body = format!(
                r#"{{"a":"{{","messages":{}{}}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            );
            let read = Object::from_body(body.as_bytes());
            if depth < MAX_DEPTH {
                assert!(read.is_ok(), "{depth}");
            } else {
                assert_eq!(read.unwrap_err().param(), Some("messages"), "{depth}");
            }
        }
    }

    #[test]
    fn what_is_no_object_says_what_it_is() {
        for (body, code) in [
            (&b"[1]"[..], "invalid_type"),
            (b"\"x\"", "invalid_type"),
            (b"", "invalid_json"),
            (b"{", "invalid_json"),
            (b"{\"a\":tru}", "invalid_json"),
            (b"{\"a\":1}x", "invalid_json"),
            (b"{\"a\":\"\xff\"}", "invalid_json"),
            (b"{\"a\":1,\"a\":2}", "invalid_json"),
            (b"{\"a\":1,\"\\u0061\":2}", "invalid_json"),
        ] {
            let error = Object::from_body(body).unwrap_err();
            assert_eq!(
                error.code(),
                Some(code),
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn halves_of_pairs_become_the_replacement_character() {
        for (text, whole) in [
            (r#"{"a":"x \ud83d y"}"#, Some(r#"{"a":"x \ufffd y"}"#)),
            (
                r#"{"a":"\uDC00\ud83d\uDE00\ud83d\ud83d"}"#,
                Some(r#"{"a":"\ufffd\ud83d\uDE00\ufffd\ufffd"}"#),
            ),
            (r#"{"a":"\\ud83d \ud83d\ude00"}"#, None),
            (r#"{"\udead":"\\\udead"}"#, Some(r#"{"\ufffd":"\\\ufffd"}"#)),
            (r#"{"a":"plain \u00e9"}"#, None),
        ] {
            assert_eq!(without_lone_surrogates(text).as_deref(), whole, "{text}");
        }
    }
}
