//! Takes out what differs from run to run, so that what is left can be compared word for word.

/// Digests, times, ids and lengths of compiled things.
pub fn redact(text: &str) -> String {
    text.lines().map(|line| line_without(line) + "\n").collect()
}

fn line_without(line: &str) -> String {
    let mut line = line.to_owned();
    for (before, allowed) in [("sha256:", HEX), ("127.0.0.1:", DIGITS)] {
        line = replace_after(&line, before, allowed, "…");
    }
    for key in ["_unix_ms\": ", "duration_ms\": ", "build_ms\": ", "size_bytes\": "] {
        line = replace_after(&line, key, DIGITS, "0");
    }
    for key in ["request_id\": \"", "\"node\": \"", "request id: "] {
        line = replace_after(&line, key, ID, "…");
    }
    line = replace_before(&line, " ms)", "N");
    // On a machine that is busy.
    line = replace_before(&line, " s)", "N").replace("(N s)", "(N ms)");
    for unit in [" bytes, sha256", " KiB, sha256", " KiB, WASI", " bytes, WASI"] {
        line = replace_before(&line, unit, "N");
    }
    line
}

const HEX: &str = "0123456789abcdef";
const DIGITS: &str = "0123456789";
const ID: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-";

fn replace_after(line: &str, before: &str, allowed: &str, with: &str) -> String {
    let mut pieces = line.split(before);
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c| allowed.contains(c));
        let with = if rest.len() < piece.len() { with } else { "" };
        result.push_str(&format!("{before}{with}{rest}"));
    }
    result
}

fn replace_before(line: &str, after: &str, with: &str) -> String {
    match line.split_once(after) {
        Some((head, rest)) => {
            let kept = head.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            let with = if kept.len() < head.len() { with } else { "" };
            format!("{kept}{with}{after}{rest}")
        }
        None => line.to_owned(),
    }
}
