//! What a build said, from terminal escapes to text that a page can show: colours as classes, everything else as is.

use serde::{Serialize, Serializer};

/// A page that has to show more than this is read by nobody; the beginning has the first error, the end the summary.
const SHOWN_BYTES_MAX: usize = 64 << 10;

/// A piece of text in one style; in JSON `["bold red", "text"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Names of classes, separated by blanks.
    pub style: String,
    pub text: String,
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.style, &self.text).serialize(serializer)
    }
}

/// What the escapes seen so far ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Style {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    color: Option<&'static str>,
}

const COLORS: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/// Text with terminal escapes as spans. What overwrote itself, as progress bars do, is there in its last form only.
pub fn spans(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut style = Style::default();
    for token in Tokens(&shortened(text)) {
        match token {
            Token::Style(codes) => style.apply(codes),
            Token::Text(text) => {
                let name = style.name();
                match spans.last_mut() {
                    Some(last) if last.style == name => last.text.push_str(text),
                    _ => spans.push(Span { style: name, text: text.to_owned() }),
                }
            }
            Token::Return => drop_line(&mut spans),
        }
    }
    spans
}

/// The text alone.
pub fn without_escapes(text: &str) -> String {
    spans(text).into_iter().map(|span| span.text).collect()
}

/// Beginning and end of what is too long, cut at lines.
fn shortened(text: &str) -> String {
    if text.len() <= SHOWN_BYTES_MAX {
        return text.to_owned();
    }
    let head =
        text[..text.floor_char_boundary(SHOWN_BYTES_MAX / 2)].rsplit_once('\n').map_or("", |(head, _)| head);
    let tail = text[text.ceil_char_boundary(text.len() - SHOWN_BYTES_MAX / 2)..]
        .split_once('\n')
        .map_or("", |(_, tail)| tail);
    let left_out = text.len() - head.len() - tail.len();
    format!("{head}\n\u{1b}[0m… {left_out} bytes are left out …\n{tail}")
}

/// What a carriage return without a line end takes back.
fn drop_line(spans: &mut Vec<Span>) {
    while let Some(last) = spans.last_mut() {
        match last.text.rfind('\n') {
            Some(end) => return last.text.truncate(end + 1),
            None => spans.pop(),
        };
    }
}

enum Token<'a> {
    Text(&'a str),
    /// The numbers between `ESC [` and `m`.
    Style(&'a str),
    Return,
}

/// Splits text; escapes that set no style are left out, and so are other control characters.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let is_special = |c: char| c.is_control() && c != '\n' && c != '\t';
            let end = self.0.find(is_special).unwrap_or(self.0.len());
            if end > 0 {
                let (text, rest) = self.0.split_at(end);
                self.0 = rest;
                return Some(Token::Text(text));
            }
            let mut characters = self.0.chars();
            let special = characters.next()?;
            let rest = characters.as_str();
            self.0 = rest;
            match special {
                '\r' if !rest.starts_with(['\n', '\r']) && !rest.is_empty() => return Some(Token::Return),
                '\u{1b}' => {
                    let (codes, rest) = escape(rest);
                    self.0 = rest;
                    if let Some(codes) = codes {
                        return Some(Token::Style(codes));
                    }
                }
                _ => {}
            }
        }
    }
}

/// What follows an escape character: the codes if it sets a style, and what comes after it.
fn escape(text: &str) -> (Option<&str>, &str) {
    if let Some(sequence) = text.strip_prefix('[') {
        let end = sequence.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c)).unwrap_or(sequence.len());
        let (codes, rest) = sequence.split_at(end);
        return match rest.strip_prefix('m') {
            Some(rest) => (Some(codes), rest),
            None => (None, rest.get(1..).unwrap_or_default()),
        };
    }
    // Links and titles: up to BEL or ESC \.
    if let Some(sequence) = text.strip_prefix(']') {
        let end = sequence.find(['\u{7}', '\u{1b}']).unwrap_or(sequence.len());
        let rest = &sequence[end..];
        return (None, rest.strip_prefix('\u{7}').or(rest.strip_prefix("\u{1b}\\")).unwrap_or(rest));
    }
    let mut characters = text.chars();
    characters.next();
    (None, characters.as_str())
}

impl Style {
    fn apply(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                30..=37 => self.color = Some(COLORS[usize::from(code) - 30]),
                90..=97 => self.color = Some(COLORS[usize::from(code) - 90]),
                39 => self.color = None,
                // One of 256 colours, or a mixed one; backgrounds take the same numbers and are left out.
                38 | 48 => {
                    let color = match codes.next() {
                        Some(5) => codes.next().and_then(of_256),
                        Some(2) => mixed([codes.next(), codes.next(), codes.next()]),
                        _ => None,
                    };
                    if code == 38 {
                        self.color = color;
                    }
                }
                _ => {}
            }
        }
    }

    fn name(&self) -> String {
        let parts = [
            self.bold.then_some("bold"),
            self.dim.then_some("dim"),
            self.italic.then_some("italic"),
            self.underline.then_some("underline"),
            self.color,
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

fn of_256(number: u16) -> Option<&'static str> {
    match number {
        0..=15 => Some(COLORS[usize::from(number % 8)]),
        // A cube of 6 x 6 x 6.
        16..=231 => {
            let number = number - 16;
            mixed([number / 36, number / 6 % 6, number % 6].map(|step| Some(step * 51)))
        }
        _ => None,
    }
}

/// The nearest of the eight: which of the parts are strong.
fn mixed(parts: [Option<u16>; 3]) -> Option<&'static str> {
    let parts = parts.map(|part| part.unwrap_or(0));
    let strong = parts.iter().copied().max().unwrap_or(0);
    let bit = |place: usize| usize::from(parts[place] * 3 > strong * 2 && strong > 60) << place;
    match bit(0) | bit(1) | bit(2) {
        // Grey is the text's own colour.
        0 | 7 => None,
        number => Some(COLORS[number]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, String)> {
        spans(text).into_iter().map(|span| (span.style, span.text)).collect()
    }

    #[test]
    fn colours_become_classes() {
        let rustc = "\u{1b}[0m\u{1b}[1m\u{1b}[38;5;9merror[E0425]\u{1b}[0m\u{1b}[0m\u{1b}[1m: cannot find\u{1b}[0m\n plain";
        let expected = [("bold red", "error[E0425]"), ("bold", ": cannot find"), ("", "\n plain")];
        assert_eq!(shown(rustc), expected.map(|(style, text)| (style.to_owned(), text.to_owned())));
        assert_eq!(shown("\u{1b}[38;2;80;250;80;2mx")[0].0, "dim green");
        assert_eq!(shown("\u{1b}[48;5;1mx")[0].0, "");
        assert_eq!(shown("\u{1b}[31;39mx")[0].0, "");
    }

    #[test]
    fn what_terminals_do_not_show_is_left_out() {
        for (text, plain) in [
            ("a\r\nb", "a\nb"),
            ("10 %\r20 %\r100 %\nready", "100 %\nready"),
            ("see \u{1b}]8;;https://x\u{1b}\\E0425\u{1b}]8;;\u{1b}\\.", "see E0425."),
            ("\u{1b}[2K\u{1b}[1Gx\u{7}\u{8}", "x"),
            ("cut \u{1b}[3", "cut "),
            ("cut \u{1b}", "cut "),
            ("\u{1b}]0;title", ""),
        ] {
            assert_eq!(without_escapes(text), plain, "{text:?}");
        }
    }

    #[test]
    fn of_long_texts_both_ends_are_kept() {
        let text: String = (0..20_000).map(|number| format!("line {number} ä\n")).collect();
        let short = without_escapes(&text);
        assert!(short.len() < SHOWN_BYTES_MAX + 100);
        assert!(
            short.starts_with("line 0 ä\n")
                && short.ends_with("line 19999 ä\n")
                && short.contains("bytes are left out")
        );
    }
}
