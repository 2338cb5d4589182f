//! From the path in a request line to the path that rules and files are named by.

use std::borrow::Cow;

/// Decodes `%41` to `A`; none if the result would be ambiguous or unsafe.
///
/// Whoever compares request paths (assets, access rules) must compare the result of this one function:
/// two spellings of a path must not meet two rules. An encoded `/`, `\` or control character is
/// therefore no path at all.
pub fn decode_path(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let byte = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
        if byte.is_ascii_control() || matches!(byte, b'/' | b'\\') {
            return None;
        }
        decoded.push(byte);
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
