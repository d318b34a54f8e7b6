//! What each family of Claude models accepts. Pure.

/// When the models of a family think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinks {
    /// Only if the request asks for it.
    WhenAsked,
    /// Unless the request turns it off.
    Unless,
    /// Always; it cannot be turned off.
    Always,
}

/// A model family. A model belongs to the entry with the longest matching prefix of its id.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table of yes and no, read by column"
)]
pub(super) struct Family {
    /// Prefix of the model id.
    prefix: &'static str,
    /// The highest `max_tokens`.
    pub max_output: u64,
    /// Whether `temperature`, `top_p` and `top_k` may differ from their defaults.
    pub sampling: bool,
    /// When the models think.
    pub thinks: Thinks,
    /// The accepted values of `thinking.type`.
    pub types: &'static [&'static str],
    /// The accepted effort levels, from low to high; empty if there are none.
    pub efforts: &'static [&'static str],
    /// Whether a tool call may be forced.
    pub forced_tool: bool,
    /// Whether the conversation may end with an assistant message (prefill).
    pub prefill: bool,
    /// Whether system messages are accepted inside the conversation.
    pub system_inside: bool,
}

const THREE: &[&str] = &["low", "medium", "high"];
const FOUR: &[&str] = &["low", "medium", "high", "max"];
const FIVE: &[&str] = &["low", "medium", "high", "xhigh", "max"];

/// The newest families. The other entries are derived from this one.
const NEWEST: Family = Family {
    prefix: "",
    max_output: 128_000,
    sampling: false,
    thinks: Thinks::Always,
    types: &["adaptive"],
    efforts: FIVE,
    forced_tool: false,
    prefill: false,
    system_inside: true,
};

/// The first families with adaptive thinking.
const ADAPTIVE: Family = Family {
    thinks: Thinks::WhenAsked,
    types: &["adaptive", "disabled"],
    forced_tool: true,
    system_inside: false,
    ..NEWEST
};

/// Families whose thinking takes a token budget.
const LEGACY: Family = Family {
    max_output: 64_000,
    sampling: true,
    types: &["enabled", "disabled"],
    efforts: &[],
    prefill: true,
    ..ADAPTIVE
};

/// Families that think unless the request turns it off.
const FIFTH: Family = Family {
    thinks: Thinks::Unless,
    types: &["adaptive", "disabled"],
    forced_tool: true,
    ..NEWEST
};

/// Anthropic's model overview, November 2026.
const FAMILIES: [Family; 18] = [
    Family {
        prefix: "claude-haiku-4-5",
        ..LEGACY
    },
    Family {
        prefix: "claude-sonnet-4-5",
        ..LEGACY
    },
    Family {
        prefix: "claude-opus-4-5",
        efforts: THREE,
        ..LEGACY
    },
    Family {
        prefix: "claude-sonnet-4-6",
        ..FOUR_SIX
    },
    Family {
        prefix: "claude-opus-4-6",
        ..FOUR_SIX
    },
    Family {
        prefix: "claude-opus-4-7",
        ..ADAPTIVE
    },
    Family {
        prefix: "claude-opus-4-8",
        system_inside: true,
        ..ADAPTIVE
    },
    Family {
        prefix: "claude-sonnet-5",
        ..FIFTH
    },
    Family {
        prefix: "claude-opus-5",
        ..FIFTH
    },
    Family {
        prefix: "claude-haiku-5-5",
        ..FIFTH
    },
    Family {
        prefix: "claude-sonnet-5-5",
        types: &["adaptive", "between_tools"],
        forced_tool: false,
        ..FIFTH
    },
    Family {
        prefix: "claude-opus-5-5",
        ..NEWEST
    },
    Family {
        prefix: "claude-fable-5",
        forced_tool: true,
        ..NEWEST
    },
    Family {
        prefix: "claude-mythos-5",
        forced_tool: true,
        ..NEWEST
    },
    Family {
        prefix: "claude-fable-5-",
        ..NEWEST
    },
    Family {
        prefix: "claude-mythos-5-",
        ..NEWEST
    },
    Family {
        prefix: "claude-mythos-preview",
        forced_tool: true,
        system_inside: false,
        ..NEWEST
    },
    // A model that this table does not know. No thinking is requested, and the output limit is one
    // that every current model accepts.
    Family {
        prefix: "",
        max_output: 64_000,
        types: &[],
        ..NEWEST
    },
];

const FOUR_SIX: Family = Family {
    sampling: true,
    types: &["adaptive", "enabled", "disabled"],
    efforts: FOUR,
    ..ADAPTIVE
};

/// Returns the family of a model.
pub(super) fn of(model: &str) -> Family {
    FAMILIES
        .into_iter()
        .filter(|family| model.starts_with(family.prefix))
        .max_by_key(|family| family.prefix.len())
        .unwrap_or(NEWEST)
}

impl Family {
    /// The accepted effort nearest to OpenAI's level, but not above it if possible. `None` if the
    /// level is unknown or the family accepts no effort.
    pub(super) fn effort(&self, word: &str) -> Option<&'static str> {
        const ORDER: [&str; 6] = ["minimal", "low", "medium", "high", "xhigh", "max"];
        // `max` always means the highest level that the family accepts.
        if word == "max" {
            return self.efforts.last().copied();
        }
        let wanted = ORDER.iter().position(|known| *known == word)?;
        let rank = |effort: &str| ORDER.iter().position(|known| *known == effort);
        self.efforts
            .iter()
            .rev()
            .find(|effort| rank(effort).is_some_and(|rank| rank <= wanted))
            .or_else(|| self.efforts.first())
            .copied()
    }

    /// Whether thinking is requested with a token budget.
    pub(super) fn budgeted(&self) -> bool {
        !self.types.contains(&"adaptive") && self.types.contains(&"enabled")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_decides() {
        for (model, prefix) in [
            ("claude-opus-5", "claude-opus-5"),
            ("claude-opus-5-20260301", "claude-opus-5"),
            ("claude-opus-5-5-20260901", "claude-opus-5-5"),
            ("claude-fable-5-1", "claude-fable-5-"),
            ("claude-fable-5", "claude-fable-5"),
            ("claude-zebra-9", ""),
        ] {
            assert_eq!(of(model).prefix, prefix, "{model}");
        }
    }

    #[test]
    fn efforts_are_taken_down_to_what_the_family_knows() {
        for (model, word, effort) in [
            ("claude-opus-4-5", "minimal", Some("low")),
            ("claude-opus-4-5", "xhigh", Some("high")),
            ("claude-opus-4-5", "max", Some("high")),
            ("claude-opus-4-6", "xhigh", Some("high")),
            ("claude-opus-4-6", "max", Some("max")),
            ("claude-opus-5-5", "xhigh", Some("xhigh")),
            ("claude-haiku-4-5", "high", None),
            ("claude-opus-5-5", "enormous", None),
        ] {
            assert_eq!(of(model).effort(word), effort, "{model} {word}");
        }
    }
}
