//! Text as the words by which it is found.

/// Longest word, in bytes of its lower-case form: a name fits. Of a longer one the beginning counts,
/// in queries as in packages.
pub const WORD_BYTES_MAX: usize = 64;

/// The words of a text: runs of letters and digits in lower case. Everything else separates, so
/// `xdp_rate-limit` has three, and nothing that could steer a terminal is ever part of one.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let runs = text.split(|c: char| !c.is_alphanumeric());
    runs.filter(|run| !run.is_empty()).filter_map(folded)
}

/// None if nothing is left: the lower-case forms of some letters have marks, which are no letters.
fn folded(run: &str) -> Option<String> {
    let mut word = String::new();
    let lower = run.chars().flat_map(char::to_lowercase);
    for c in lower.filter(|c| c.is_alphanumeric()) {
        if word.len() + c.len_utf8() > WORD_BYTES_MAX {
            break;
        }
        word.push(c);
    }
    (!word.is_empty()).then_some(word)
}
