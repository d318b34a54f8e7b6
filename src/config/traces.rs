//! Where traces are sent, from the standard `OpenTelemetry` exporter variables. Pure.

use super::BaseUrl;
use super::proxy::decode;
use crate::secret::Secret;

/// A trace collector that accepts OTLP over HTTP.
#[derive(Debug, Clone)]
pub struct Traces {
    /// The URL that spans are sent to, with its path.
    pub endpoint: BaseUrl,
    /// Headers of each export, such as the collector's API key. Names are in lower case.
    pub headers: Vec<(String, Secret)>,
    /// The service name of the gateway, `service.name`.
    pub service: String,
    /// The sampling rate, 0 to 1, of traces that start here. A trace that a caller started follows
    /// the caller's sampling decision.
    pub ratio: f64,
}

/// The values of the variables; see the `OpenTelemetry` specification, "OTLP exporter".
#[derive(Debug, Default)]
pub(super) struct TraceVariables {
    /// The full URL for traces.
    pub full: Option<String>,
    /// The URL to which `/v1/traces` is added.
    pub base: Option<String>,
    /// `name=value`, separated by commas, values percent-encoded.
    pub headers: Option<String>,
    /// The service name.
    pub service: Option<String>,
    /// The sampling rate.
    pub ratio: Option<String>,
}

impl Traces {
    /// Parses the variables; `None` if no endpoint is set.
    ///
    /// # Errors
    /// Says what is wrong, with the variable's name and without its value.
    pub(super) fn read(texts: &TraceVariables) -> Result<Option<Self>, String> {
        let (name, text, path) = match (&texts.full, &texts.base) {
            (Some(full), _) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", full, ""),
            (None, Some(base)) => ("OTEL_EXPORTER_OTLP_ENDPOINT", base, "/v1/traces"),
            (None, None) => return Ok(None),
        };
        let endpoint = BaseUrl::parse(text, path).map_err(|wrong| format!("{name} {wrong}"))?;
        let ratio = match &texts.ratio {
            None => 1.0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|ratio| (0.0..=1.0).contains(ratio))
                .ok_or("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1")?,
        };
        Ok(Some(Self {
            endpoint,
            headers: headers(texts.headers.as_deref().unwrap_or_default())?,
            service: texts
                .service
                .clone()
                .unwrap_or_else(|| "ai-gateway".to_owned()),
            ratio,
        }))
    }
}

fn headers(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let wrong = "OTEL_EXPORTER_OTLP_HEADERS must be name=value, separated by commas";
            let (name, value) = pair.split_once('=').ok_or(wrong)?;
            let name = name.trim().to_ascii_lowercase();
            let value = decode(value.trim());
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let is_value = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
            if name.is_empty() || !name.bytes().all(is_name) || !value.bytes().all(is_value) {
                return Err(wrong.to_owned());
            }
            Ok((name, Secret::new(value)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(full: &str, base: &str, headers: &str, ratio: &str) -> Result<Option<Traces>, String> {
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Traces::read(&TraceVariables {
            full: set(full),
            base: set(base),
            headers: set(headers),
            service: None,
            ratio: set(ratio),
        })
    }

    #[test]
    fn the_endpoint_is_as_the_specification_says() {
        let at = |full: &str, base: &str| {
            let traces = read(full, base, "", "").unwrap();
            traces.map(|traces| traces.endpoint.to_string())
        };
        assert_eq!(at("", ""), None);
        let base = Some("http://collector:4318/v1/traces".to_owned());
        assert_eq!(at("", "http://collector:4318"), base);
        assert_eq!(at("", "http://collector:4318/"), base);
        let own = Some("https://x.example/otlp/spans".to_owned());
        assert_eq!(at("https://x.example/otlp/spans", "http://ignored"), own);
    }

    #[test]
    fn headers_are_decoded_and_do_not_print() {
        let traces = read("", "http://c", "Api-Key=se%20cret, x-a=b", "0.25").unwrap();
        let traces = traces.unwrap();
        let headers: Vec<_> = traces
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(headers, [("api-key", "se cret"), ("x-a", "b")]);
        assert!(!format!("{traces:?}").contains("se cret"));
        assert!((traces.ratio - 0.25).abs() < f64::EPSILON);
    }

    #[test]
    fn mistakes_name_the_variable_and_repeat_nothing() {
        for (wrong, name) in [
            (
                read("hunter2", "", "", ""),
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            ),
            (read("", "hunter2", "", ""), "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (
                read("", "http://c", "hunter2", ""),
                "OTEL_EXPORTER_OTLP_HEADERS",
            ),
            (
                read("", "http://c", "a=b%0ac", ""),
                "OTEL_EXPORTER_OTLP_HEADERS",
            ),
            (read("", "http://c", "", "2"), "OTEL_TRACES_SAMPLER_ARG"),
        ] {
            let wrong = wrong.unwrap_err();
            assert!(wrong.starts_with(name), "{wrong}");
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    }
}
