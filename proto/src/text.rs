//! Text from strangers: what may stand in a log, and how it is shown harmless.

/// Why a text may not stand where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{size} bytes of text where at most {max} are allowed")]
    TooLong { size: usize, max: usize },
    #[error("control character U+{0:04X}")]
    Control(u32),
    #[error("bidirectional override U+{0:04X}")]
    Bidirectional(u32),
}

/// Checks a `line`: at most `max` bytes, no control characters (Unicode category Cc), no
/// bidirectional overrides (U+202A–202E, U+2066–2069).
pub fn check_line(text: &str, max: usize) -> Result<(), Error> {
    check(text, max, &[])
}

/// Checks `prose`: a `line` in which line feed and tab are allowed.
pub fn check_prose(text: &str, max: usize) -> Result<(), Error> {
    check(text, max, &['\n', '\t'])
}

fn check(text: &str, max: usize, allowed: &[char]) -> Result<(), Error> {
    if text.len() > max {
        return Err(Error::TooLong {
            size: text.len(),
            max,
        });
    }
    for c in text.chars() {
        if c.is_control() && !allowed.contains(&c) {
            return Err(Error::Control(c.into()));
        }
        if is_bidirectional_override(c) {
            return Err(Error::Bidirectional(c.into()));
        }
    }
    Ok(())
}

fn is_bidirectional_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Ends of lines that are no control characters: a text of one line may have them, and pagers,
/// browsers and readers of JSON begin a line there.
fn is_line_end(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// `text` with everything that could steer a terminal written as `\u{…}`; line feeds stay.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() && c != '\n') || is_bidirectional_override(c) || is_line_end(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// [`harmless`] on one line: what a stranger calls something cannot begin a line of its own.
pub fn harmless_line(text: &str) -> String {
    harmless(text).replace('\n', "\\u{a}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_refuse_what_prose_allows() {
        assert_eq!(check_prose("a\tb\nc", 5), Ok(()));
        assert_eq!(check_line("a\tb", 5), Err(Error::Control(9)));
        assert_eq!(check_line("a\u{85}", 5), Err(Error::Control(0x85)));
        assert_eq!(
            check_prose("\u{2066}", 5),
            Err(Error::Bidirectional(0x2066))
        );
    }

    #[test]
    fn lengths_count_bytes() {
        assert_eq!(check_line("éé", 4), Ok(()));
        assert_eq!(
            check_line("ééa", 4),
            Err(Error::TooLong { size: 5, max: 4 })
        );
    }

    #[test]
    fn escapes_are_shown_not_sent() {
        assert_eq!(harmless("\u{1b}[2J\u{202e}x\n"), "\\u{1b}[2J\\u{202e}x\n");
        assert_eq!(harmless_line("x\nerror: y\t"), "x\\u{a}error: y\\u{9}");
        assert_eq!(harmless("x\u{2028}y\u{2029}"), "x\\u{2028}y\\u{2029}");
    }
}
