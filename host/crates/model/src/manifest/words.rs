//! The deserializer's messages in the words of authors.

use super::MANIFEST_VERSION;

/// What it calls the types of Rust, and what an author writes.
const TYPES: [(&str, &str); 10] = [
    ("u32", "a whole number from 1 to 4294967295"),
    ("a string", "a text"),
    ("a boolean", "`true` or `false`"),
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("struct AppSection", "a table"),
    ("struct Build", "a table"),
    ("struct Access", "a table"),
    ("struct LimitRequests", "a table"),
    ("struct Grants", "a table"),
];
const FOUND: [(&str, &str); 6] = [
    ("string ", "the text "),
    ("integer ", "the number "),
    ("floating point ", "the number "),
    ("boolean ", ""),
    ("sequence", "a list"),
    ("map", "a table"),
];

pub(super) fn of(message: &str) -> String {
    let unexpected =
        ["invalid type: ", "invalid value: "].iter().find_map(|prefix| message.strip_prefix(prefix));
    if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return match key {
            "manifest_version" => {
                format!("the key `{key}` is missing: write `{key} = {MANIFEST_VERSION}` as the first line")
            }
            key => format!("the key `{key}` is missing here"),
        };
    }
    if let Some((found, expected)) = unexpected.and_then(|rest| rest.rsplit_once(", expected ")) {
        // How wide a number of theirs is concerns nobody else.
        let found = found.trim_end_matches(" as i128").trim_end_matches(" as u128");
        let replaced =
            FOUND.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", found.strip_prefix(theirs)?)));
        let is_config_key = expected == "struct ConfigKey";
        let expected = TYPES.iter().find(|(theirs, _)| expected == *theirs).map_or_else(
            || if expected.starts_with("struct ") { "a table" } else { expected },
            |(_, ours)| ours,
        );
        let replaced = replaced.as_deref().unwrap_or(found);
        return match whole_key(found, is_config_key) {
            Some(whole) => format!("expected a table, not {replaced}: write `{whole}`"),
            None => format!("expected {expected}, not {replaced}"),
        };
    }
    nearest_key(message).unwrap_or_else(|| message.to_owned())
}

/// What an author meant who gave a key of `[config]` a value.
fn whole_key(found: &str, is_config_key: bool) -> Option<String> {
    let value = ["string ", "integer ", "floating point ", "boolean "]
        .iter()
        .find_map(|kind| found.strip_prefix(kind))
        .filter(|_| is_config_key)?;
    let value = value.trim_matches('`');
    // A text comes in quotes.
    let quoted = if value.starts_with('"') { value.to_owned() } else { format!("\"{value}\"") };
    Some(format!("{{ default = {quoted} }}"))
}

/// For an unknown key the nearest known one, or else all of them.
fn nearest_key(message: &str) -> Option<String> {
    let (unknown, expected) = message.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = known
        .iter()
        .map(|key| (strsim::osa_distance(unknown, key), key))
        .filter(|(distance, key)| *distance <= 1 + key.len() / 3)
        .min();
    Some(match nearest {
        Some((_, key)) => format!("unknown key `{unknown}`: did you mean `{key}`?"),
        None => format!("unknown key `{unknown}`; known here: {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn rust_is_not_spoken_to_authors() {
        for (theirs, ours) in [
            ("missing field `name`", "the key `name` is missing here"),
            (
                "invalid type: string \"64, expected\", expected u32",
                "expected a whole number from 1 to 4294967295, not the text \"64, expected\"",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "expected a whole number from 1 to 4294967295, not the number `-1`",
            ),
            (
                "invalid type: boolean `true`, expected struct ConfigKey",
                "expected a table, not `true`: write `{ default = \"true\" }`",
            ),
            (
                "invalid type: string \"Hello\", expected struct ConfigKey",
                "expected a table, not the text \"Hello\": write `{ default = \"Hello\" }`",
            ),
            ("invalid type: sequence, expected struct ConfigKey", "expected a table, not a list"),
            (
                "invalid type: integer `9` as i128, expected u32",
                "expected a whole number from 1 to 4294967295, not the number `9`",
            ),
            ("invalid type: sequence, expected a string", "expected a text, not a list"),
            ("something else", "something else"),
        ] {
            assert_eq!(super::of(theirs), ours);
        }
    }
}
