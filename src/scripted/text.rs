//! What the scripted models say, and how many tokens they count for it. Pure.

/// What every scripted model has to say: a CSV parser to whoever asks for one, else a greeting.
pub(super) fn text_for(asked: &str) -> String {
    if asked.contains("CSV") {
        "Here is one that knows quoted fields:\n\n```rust\nfn parse_csv_line(line: &str) -> Vec<String> {\n    \
         let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);\n    \
         for c in line.chars() {\n        match c {\n            '\"' => quoted = !quoted,\n            \
         ',' if !quoted => fields.push(std::mem::take(&mut field)),\n            c => field.push(c),\n        \
         }\n    }\n    fields.push(field);\n    fields\n}\n```\n"
            .to_owned()
    } else {
        format!("Hello! I am a scripted model, and you said: “{asked}”")
    }
}

/// A text in the pieces in which a model would write it.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

/// Tokens, as far as a script counts them.
pub(super) fn tokens(text: &str) -> usize {
    text.split_whitespace().count().max(1)
}
