//! Checks a whole response that is relayed, and reads its token usage. Pure.

use serde_json::value::RawValue;

use super::decode_response::WireUsage;
use crate::codec::scan::Scan;
use crate::dialect::common::conformant::Conformant;
use crate::dialect::hub::Usage;

/// The token usage of a whole response; `None` if it has none or cannot be read.
#[must_use]
pub fn usage(response: &[u8]) -> Option<Usage> {
    #[derive(serde::Deserialize)]
    struct Counted {
        usage: Option<WireUsage>,
    }
    let counted: Counted = serde_json::from_slice(response).ok()?;
    counted.usage.map(Usage::from)
}

/// Checks whether a whole response can be relayed without a closer look. `None` if it cannot be
/// read at once or may be an error.
#[must_use]
pub fn conformance(response: &[u8]) -> Option<Conformant> {
    let mut scan = Scan::new(std::str::from_utf8(response).ok()?);
    let (mut output, mut usage) = (None, None);
    scan.object(|name, scan| {
        let known = match name {
            b"output" => &mut output,
            b"usage" => &mut usage,
            b"" => return None,
            _ => return scan.value().map(drop),
        };
        let second = known.replace(scan.value()?).is_some();
        (!second).then_some(())
    })?;
    if !scan.is_at_end() || output? == b"null" {
        return None;
    }
    let usage = usage.map(serde_json::from_slice::<Option<WireUsage>>);
    Some(Conformant {
        usage: usage.transpose().ok()?.flatten().map(Usage::from),
    })
}

/// Whether a body is a response in any state, or at least a chat completion. What a provider writes
/// in its own format is passed on.
#[must_use]
pub fn is_response(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Probe<'a> {
        #[serde(default)]
        output: Option<Vec<serde::de::IgnoredAny>>,
        #[serde(default, borrow)]
        choices: Vec<Choice<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Choice<'a> {
        #[serde(borrow)]
        message: &'a RawValue,
    }
    serde_json::from_slice::<Probe<'_>>(body).is_ok_and(|probe| {
        let says = |choice: &Choice<'_>| choice.message.get().starts_with('{');
        probe.output.is_some() || probe.choices.first().is_some_and(says)
    })
}
