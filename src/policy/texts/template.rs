//! A text with placeholders, `{value} cases`.

/// A text with placeholders in braces; `{{` and `}}` stand for braces themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Texts, each with the placeholder that follows it.
    parts: Vec<(String, Option<String>)>,
}

impl Template {
    /// Reads a template; the error says what is wrong with its braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(from.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let Some((name, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
                return Err(
                    "a placeholder is a name in braces, {value}; braces themselves are written {{ and }}".to_owned()
                );
            };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
                return Err(format!("'{{{name}}}' is no placeholder; braces themselves are written {{{{ and }}}}"));
            }
            parts.push((std::mem::take(&mut plain), Some(name.to_owned())));
            rest = after;
        }
        plain.push_str(rest);
        parts.push((plain, None));
        Ok(Self { parts })
    }

    /// The names of its placeholders, in the order of the text.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|(_, placeholder)| placeholder.as_deref())
    }

    /// The text with the value of each placeholder.
    pub(super) fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let mut filled = String::new();
        for (text, placeholder) in &self.parts {
            filled.push_str(text);
            filled.extend(placeholder.as_deref().map(&value));
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_doubled_braces_are_braces() {
        let template = Template::parse("{{{value}}} of {all}烟").unwrap();
        assert_eq!(template.placeholders().collect::<Vec<_>>(), ["value", "all"]);
        assert_eq!(template.fill(|name| name.to_uppercase()), "{VALUE} of ALL烟");
        assert_eq!(Template::parse("plain").unwrap().fill(str::to_owned), "plain");
    }

    #[test]
    fn braces_that_name_nothing_are_refused() {
        for faulty in ["{value", "value}", "{}", "{a b}", "{Value}"] {
            assert!(Template::parse(faulty).is_err(), "{faulty}");
        }
    }
}
