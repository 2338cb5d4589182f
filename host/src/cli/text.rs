//! How tables, sizes, times and counts look in every command.

use comfy_table::{Table, presets};

/// A table without lines, so that it can be cut with standard tools.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// What a guest or a client said may be part of a text; it must neither command the terminal nor, with the characters
/// that turn the direction of writing, show another order than there is.
pub fn printable(text: &str) -> String {
    let is_harmful = |c: char| {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || (c.is_control() && !matches!(c, '\n' | '\t'))
    };
    text.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// `1 node`, `2 nodes`.
pub fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

pub fn duration(duration_ms: u64) -> String {
    match duration_ms {
        0..10_000 => format!("{duration_ms} ms"),
        10_000..600_000 => format!("{} s", duration_ms / 1_000),
        _ => format!("{} min", duration_ms / 60_000),
    }
}

/// Three figures at most: `412 bytes`, `63.2 KiB`, `13 MiB`.
pub fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    for unit in ["bytes", "KiB", "MiB"] {
        if amount < 1_024.0 {
            return match unit {
                "bytes" => format!("{bytes} bytes"),
                _ if amount < 100.0 => format!("{amount:.1} {unit}"),
                _ => format!("{amount:.0} {unit}"),
            };
        }
        amount /= 1_024.0;
    }
    format!("{amount:.1} GiB")
}

/// As documents say it.
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago a moment was, coarse: for people who look at a table.
pub fn ago(then_unix_ms: i64, now_unix_ms: i64) -> String {
    let seconds = now_unix_ms.saturating_sub(then_unix_ms) / 1_000;
    match seconds {
        ..1 => "now".to_owned(),
        1..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

pub fn now_unix_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The first line of a text, cut to what a table column holds.
pub fn brief(text: &str, chars_max: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_mislead_a_terminal_or_its_reader_are_replaced() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb\nc\u{fffd}d");
    }

    #[test]
    fn tables_are_aligned_and_bare() {
        let rows = vec![vec!["hello".to_owned(), "3".to_owned()], vec!["a".to_owned(), "-".to_owned()]];
        assert_eq!(table(&["APP", "ACTIVE"], rows), "APP    ACTIVE\nhello  3\na      -");
    }

    #[test]
    fn sizes_have_few_figures() {
        let shown = [412, 64_717, 200_000, 13_631_488, 3 << 30].map(size);
        assert_eq!(shown, ["412 bytes", "63.2 KiB", "195 KiB", "13.0 MiB", "3.0 GiB"]);
    }

    #[test]
    fn times_are_coarse() {
        assert_eq!(ago(5_000, 4_000), "now");
        assert_eq!(ago(0, 60_000), "60 s ago");
        assert_eq!(ago(0, 7_200_000), "2 h ago");
        assert_eq!(duration(112), "112 ms");
        assert_eq!(duration(61_000), "61 s");
    }
}
