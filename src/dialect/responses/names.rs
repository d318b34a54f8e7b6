//! Converts the hub's field names to those of Responses, for errors and reports. Pure.

/// Names that differ as a whole.
const WORDS: [(&str, &str); 14] = [
    ("messages.refusal", "input.content.refusal"),
    ("messages.tool_calls", "input"),
    ("messages.tool_calls.id", "input.call_id"),
    ("messages.tool_calls.extra_content", "input.reasoning"),
    ("messages.reasoning_content", "input.reasoning"),
    ("messages.content", "input.content"),
    ("messages.reasoning_details", "input.reasoning"),
    ("max_completion_tokens", "max_output_tokens"),
    ("max_tokens", "max_output_tokens"),
    ("reasoning_effort", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
    ("messages", "input"),
    ("response_format", "text.format"),
    ("logprobs", "include"),
];

/// Prefixes that differ.
const BEGINNINGS: [(&str, &str); 4] = [
    ("messages.tool_calls.", "input."),
    ("messages.", "input."),
    ("response_format.json_schema.", "text.format."),
    ("response_format.", "text.format."),
];

/// Suffixes that differ: Responses has flat what Chat Completions nests.
const ENDS: [(&str, &str); 6] = [
    (".image_url.detail", ".detail"),
    (".tool_call_id", ".call_id"),
    (".image_url.url", ".image_url"),
    (".file.file_data", ".file_data"),
    (".file.filename", ".filename"),
    (".file.file_url", ".file_url"),
];

/// Converts a hub field name to its name in Responses.
#[must_use]
pub fn own_name(name: &str) -> String {
    if let Some((_, own)) = WORDS.iter().find(|(hub, _)| *hub == name) {
        return (*own).to_owned();
    }
    if name.starts_with("tools[") || name.starts_with("tool_choice.") {
        return name.replacen(".function", "", 1);
    }
    let begins = BEGINNINGS.iter().find_map(|(hub, own)| {
        let rest = name.strip_prefix(hub)?;
        Some(format!("{own}{rest}"))
    });
    let name = begins.unwrap_or_else(|| name.to_owned());
    let ends = ENDS.iter().find_map(|(hub, own)| {
        let start = name.strip_suffix(hub)?;
        Some(format!("{start}{own}"))
    });
    ends.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_names_that_the_client_wrote() {
        for (hub, own) in [
            ("max_completion_tokens", "max_output_tokens"),
            ("reasoning_effort", "reasoning.effort"),
            ("response_format.json_schema.schema", "text.format.schema"),
            ("tools[3].function.strict", "tools[3].strict"),
            ("input[2].tool_call_id", "input[2].call_id"),
            (
                "input[1].content[0].image_url.url",
                "input[1].content[0].image_url",
            ),
            ("truncation", "truncation"),
            ("input[1].content[0].type", "input[1].content[0].type"),
        ] {
            assert_eq!(own_name(hub), own);
        }
    }
}
