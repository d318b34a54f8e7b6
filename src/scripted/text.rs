//! The texts of the scripted models, and their token counts. Pure.

/// The text of every scripted model: a CSV parser if asked for CSV, else a greeting.
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

/// A text, split into pieces as a model would stream it.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

/// The token count of a text: its words.
pub(super) fn tokens(text: &str) -> usize {
    text.split_whitespace().count().max(1)
}
