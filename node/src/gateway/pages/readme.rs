//! A README as HTML: written from the events of a Markdown parser, of which only those that are
//! known here become tags. What is HTML in it is shown as text, so nothing need be taken out again.

use pulldown_cmark::{
    CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html,
};
use skep_proto::text::harmless;

/// Most text and tags of a README that are written, counted together: beyond, the rest is left out.
/// A table of few bytes can have millions of cells.
const BUDGET: usize = 512 << 10;
/// What an event costs besides its text: about the tags that it becomes.
const EVENT_COST: usize = 16;
/// Deepest nesting that is written; what is deeper stands at this depth.
const DEPTH_MAX: usize = 32;
/// Longest address of a link, in bytes.
const ADDRESS_LEN_MAX: usize = 2_048;

/// A file of the package that a README names.
pub(super) struct Own {
    pub(super) address: String,
    pub(super) is_image: bool,
}

/// `own` gives a file of the package by its path.
pub(super) fn render(text: &str, own: &dyn Fn(&str) -> Option<Own>) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut writing = Writing {
        events: Vec::new(),
        open: Vec::new(),
        left: BUDGET,
        heading: 2,
        own,
    };
    for event in Parser::new_ext(text, options) {
        if !writing.take(event) {
            break;
        }
    }
    writing.end()
}

/// An address that leads to the web.
pub(super) fn is_web(address: &str) -> bool {
    has_scheme(address, &["http://", "https://"])
}

fn has_scheme(address: &str, schemes: &[&str]) -> bool {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace();
    let begins = |scheme: &&str| {
        let head = address.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    address.len() <= ADDRESS_LEN_MAX
        && address.chars().all(is_plain)
        && harmless(address) == address
        && schemes.iter().any(begins)
}

/// What stands open, and what ends it.
enum Open {
    /// Ended by these.
    Tag(Vec<Event<'static>>),
    /// An image that is not shown: its words are.
    Nothing,
}

struct Writing<'a, 'o> {
    events: Vec<Event<'a>>,
    open: Vec<Open>,
    left: usize,
    /// Level of the last heading; the page's own are 1 and 2.
    heading: usize,
    own: &'o dyn Fn(&str) -> Option<Own>,
}

impl<'a> Writing<'a, '_> {
    /// Whether more is taken.
    fn take(&mut self, event: Event<'a>) -> bool {
        let cost = EVENT_COST + text_of(&event).map_or(0, str::len);
        let Some(left) = self.left.checked_sub(cost) else {
            return false;
        };
        self.left = left;
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(_) => self.close(),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                self.events.push(Event::Text(shown(&text)));
            }
            Event::Code(text) => self.events.push(Event::Code(shown(&text))),
            Event::SoftBreak | Event::HardBreak | Event::Rule => self.events.push(event),
            // Of extensions that are not asked for.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.events.push(Event::Text(shown(&text)));
            }
            Event::TaskListMarker(_) => {}
        }
        true
    }

    fn start(&mut self, tag: Tag<'a>) {
        if self.open.len() >= DEPTH_MAX {
            return self.open.push(Open::Nothing);
        }
        let end = tag.to_end();
        match tag {
            Tag::Heading { level, .. } => {
                // None is left out on the way down, so that whoever reads by headings finds all.
                let wanted = (level as usize + 2).min(6);
                self.heading = wanted.min(self.heading + 1);
                let level = HeadingLevel::try_from(self.heading).unwrap_or(HeadingLevel::H6);
                let tag = Tag::Heading {
                    level,
                    id: None,
                    classes: Vec::new(),
                    attrs: Vec::new(),
                };
                self.plain(tag, TagEnd::Heading(level));
            }
            Tag::CodeBlock(_) => {
                // It scrolls sideways by itself, and so must take the focus.
                self.raw("<pre tabindex=\"0\"><code>", "</code></pre>\n");
            }
            Tag::Table(_) => {
                self.events.push(Event::Html(
                    "<div class=\"scroll\" tabindex=\"0\">\n".into(),
                ));
                self.events.push(Event::Start(tag));
                self.open.push(Open::Tag(vec![
                    Event::End(TagEnd::Table),
                    Event::Html("</div>\n".into()),
                ]));
            }
            Tag::Link { dest_url, .. } => match self.link(&dest_url) {
                Some(address) => {
                    let address = escaped(&address);
                    let begin = format!("<a href=\"{address}\" rel=\"nofollow ugc noopener\">");
                    self.raw(begin, "</a>");
                }
                None => self.open.push(Open::Nothing),
            },
            Tag::Image {
                dest_url,
                title,
                id,
                link_type,
            } => match (self.own)(&dest_url) {
                Some(own) if own.is_image => self.plain(
                    Tag::Image {
                        dest_url: own.address.into(),
                        title: shown(&title),
                        id,
                        link_type,
                    },
                    TagEnd::Image,
                ),
                _ => self.open.push(Open::Nothing),
            },
            Tag::BlockQuote(_) => self.plain(Tag::BlockQuote(None), TagEnd::BlockQuote(None)),
            Tag::Paragraph
            | Tag::List(_)
            | Tag::Item
            | Tag::TableHead
            | Tag::TableRow
            | Tag::TableCell
            | Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough => self.plain(tag, end),
            // A paragraph of its own, as text.
            Tag::HtmlBlock => self.plain(Tag::Paragraph, TagEnd::Paragraph),
            // Of extensions that are not asked for.
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => self.open.push(Open::Nothing),
        }
    }

    fn plain(&mut self, tag: Tag<'a>, end: TagEnd) {
        self.events.push(Event::Start(tag));
        self.open.push(Open::Tag(vec![Event::End(end)]));
    }

    /// Tags that we write ourselves.
    fn raw(&mut self, begin: impl Into<CowStr<'a>>, end: &'static str) {
        self.events.push(Event::InlineHtml(begin.into()));
        self.open
            .push(Open::Tag(vec![Event::InlineHtml(end.into())]));
    }

    fn close(&mut self) {
        if let Some(Open::Tag(ends)) = self.open.pop() {
            self.events.extend(ends);
        }
    }

    /// Where a link may lead: to the web, to a letter, to a file of the package.
    fn link(&self, address: &str) -> Option<String> {
        if has_scheme(address, &["http://", "https://", "mailto:"]) {
            return Some(address.to_owned());
        }
        (self.own)(address).map(|own| own.address)
    }

    fn end(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        let mut out = String::new();
        html::push_html(&mut out, self.events.into_iter());
        out
    }
}

fn text_of<'e>(event: &'e Event<'_>) -> Option<&'e str> {
    match event {
        Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
            Some(text)
        }
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url),
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(word))) => Some(word),
        _ => None,
    }
}

/// Harmless to a reader; tabs stay, since code has them.
fn shown(text: &str) -> CowStr<'static> {
    let parts: Vec<String> = text.split('\t').map(harmless).collect();
    parts.join("\t").into()
}

fn escaped(text: &str) -> String {
    use askama::filters::{Escaper as _, Html};
    let mut out = String::new();
    match Html.write_escaped_str(&mut out, text) {
        Ok(()) => out,
        // Writing to a string does not fail.
        Err(std::fmt::Error) => String::new(),
    }
}

#[cfg(test)]
mod tests;
