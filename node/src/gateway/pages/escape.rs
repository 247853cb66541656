//! How text becomes HTML.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};
use skep_proto::text::harmless;

/// Escapes for HTML, and shows what could steer a reader (control characters, bidirectional
/// overrides) as `\u{…}`. Line feeds stay: HTML takes them for spaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escape;

impl Escaper for Escape {
    fn write_escaped_str<W: Write>(&self, to: W, text: &str) -> fmt::Result {
        Html.write_escaped_str(to, &harmless(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_browser_or_a_reader() {
        let mut out = String::new();
        let text = "<b a=\"x\" c='y'>&\u{202e}\u{1b}[31m\u{85}\u{0}\n";
        Escape.write_escaped_str(&mut out, text).expect("written");
        assert_eq!(
            out,
            "&#60;b a=&#34;x&#34; c=&#39;y&#39;&#62;&#38;\\u{202e}\\u{1b}[31m\\u{85}\\u{0}\n"
        );
    }
}
