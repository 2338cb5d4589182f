//! What request headers say about which bytes are wanted (RFC 9110, sections 12.5, 13 and 14).

use http::header::{ACCEPT_ENCODING, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Which of the compressed forms the client accepts, best first.
pub(super) fn accepts(headers: &HeaderMap) -> Accepted {
    let (mut brotli, mut gzip, mut any) = (None, None, None);
    for item in list(headers, &ACCEPT_ENCODING) {
        let (name, parameter) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight(parameter);
        let name = name.trim();
        if name.eq_ignore_ascii_case("br") {
            brotli = Some(weight);
        } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            gzip = Some(weight);
        } else if name == "*" {
            any = Some(weight);
        }
    }
    Accepted { brotli: brotli.or(any).unwrap_or(0), gzip: gzip.or(any).unwrap_or(0) }
}

/// Weights in thousandths; 0 is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) brotli: u16,
    pub(super) gzip: u16,
}

fn weight(parameter: &str) -> u16 {
    const FULL: u16 = 1_000;
    let Some((name, value)) = parameter.split_once('=') else { return FULL };
    if !name.trim().eq_ignore_ascii_case("q") {
        return FULL;
    }
    match value.trim().parse::<f32>() {
        // The clamp keeps the product within the type; NaN becomes 0.
        Ok(value) => (value.clamp(0.0, 1.0) * f32::from(FULL)) as u16,
        Err(_) => FULL,
    }
}

/// The client has something that must still be current, and it is not.
pub(super) fn match_fails(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.contains_key(IF_MATCH)
        && !list(headers, &IF_MATCH).any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}

/// The client has the current bytes already.
pub(super) fn is_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    // Proxies that compress on the way weaken the tag; for this question it still matches.
    list(headers, &IF_NONE_MATCH)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

/// What part of a file is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    /// From the first to the last byte, both included.
    Part {
        first: u64,
        last: u64,
    },
    Unsatisfiable,
}

pub(super) fn wanted(headers: &HeaderMap, etag: &HeaderValue, length: u64) -> Wanted {
    let Some(range) = headers.get(RANGE).and_then(|range| range.to_str().ok()) else {
        return Wanted::Whole;
    };
    // A date in If-Range never matches: releases have tags, not times.
    if headers.get(IF_RANGE).is_some_and(|known| known.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    // Several ranges, other units and malformed ones may be ignored; the whole file is always right.
    parse_range(range, length).unwrap_or(Wanted::Whole)
}

fn parse_range(range: &str, length: u64) -> Option<Wanted> {
    let (unit, set) = range.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
    let (first, last): (u64, u64) = if first.is_empty() {
        let suffix: u64 = number(last)?;
        if suffix == 0 || length == 0 {
            return Some(Wanted::Unsatisfiable);
        }
        (length.saturating_sub(suffix), length - 1)
    } else {
        let first: u64 = number(first)?;
        let last = if last.is_empty() { u64::MAX } else { number(last)? };
        if last < first {
            return None;
        }
        if first >= length {
            return Some(Wanted::Unsatisfiable);
        }
        (first, last.min(length - 1))
    };
    Some(Wanted::Part { first, last })
}

/// The items of a header that is a list; our own tags contain no commas.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let part = |first, last| Some(Wanted::Part { first, last });
        for (range, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-", part(2, 9)),
            ("bytes=2-100", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-100", part(0, 9)),
            ("Bytes=9-18446744073709551615", part(9, 9)),
            ("bytes=10-", Some(Wanted::Unsatisfiable)),
            ("bytes=-0", Some(Wanted::Unsatisfiable)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=+1-2", None),
            ("bytes=a-b", None),
            ("bytes=18446744073709551616-", None),
            ("lines=0-1", None),
            ("bytes", None),
        ] {
            assert_eq!(parse_range(range, 10), expected, "{range}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(Wanted::Unsatisfiable));
    }

    #[test]
    fn accepted_encodings() {
        for (text, brotli, gzip) in [
            ("gzip, deflate, br, zstd", 1_000, 1_000),
            ("br;q=0.5, gzip", 500, 1_000),
            ("br;q=0, *", 0, 1_000),
            ("*;q=0", 0, 0),
            ("identity", 0, 0),
            ("GZIP; Q=0.001", 0, 1),
            ("gzip;q=NaN, br;q=7", 1_000, 0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, text.parse().unwrap());
            assert_eq!(accepts(&headers), Accepted { brotli, gzip }, "{text}");
        }
    }
}
