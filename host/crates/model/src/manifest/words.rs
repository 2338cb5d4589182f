//! The deserializer's messages in the words of authors.

use super::MANIFEST_VERSION;

/// What it calls the types of Rust, and what an author writes.
const TYPES: [(&str, &str); 10] = [
    ("u32", "a whole number"),
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
        let replaced =
            FOUND.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", found.strip_prefix(theirs)?)));
        let expected = TYPES.iter().find(|(theirs, _)| expected == *theirs).map_or_else(
            || if expected.starts_with("struct ") { "a table" } else { expected },
            |(_, ours)| ours,
        );
        return format!("expected {expected}, not {}", replaced.as_deref().unwrap_or(found));
    }
    nearest_key(message).unwrap_or_else(|| message.to_owned())
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
                "expected a whole number, not the text \"64, expected\"",
            ),
            ("invalid value: integer `-1`, expected u32", "expected a whole number, not the number `-1`"),
            ("invalid type: boolean `true`, expected struct ConfigKey", "expected a table, not `true`"),
            ("invalid type: sequence, expected a string", "expected a text, not a list"),
            ("something else", "something else"),
        ] {
            assert_eq!(super::of(theirs), ours);
        }
    }
}
