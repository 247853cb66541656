//! Names that are one slip of a finger from one that is trusted: whoever chose such a name may hope
//! for the slip.

use skep_proto::name::Name;

use super::Session;
use crate::error::Result;
use crate::home::repos::{Followed, Repos};

/// Shorter names are all like each other.
const LENGTH_MIN: usize = 4;

/// Warns before a person is asked about a package, unless a rule covers it already. `name` is none
/// where all of a repository is meant.
pub(super) fn warn(alias: &Name, name: Option<&Name>, session: &Session<'_>) -> Result<()> {
    let followed = Repos::of(&session.home).list()?;
    if let Some(trusted) = trusted_like(alias, name, &followed) {
        let asked = full(alias, name.map_or("*", Name::as_str));
        session.ui.warn(&format!(
            "{asked} is not {trusted}, which you trust: look at it letter by letter"
        ));
    }
    Ok(())
}

/// What is trusted and looks like this, as `repo/names`.
fn trusted_like(alias: &Name, name: Option<&Name>, followed: &[Followed]) -> Option<String> {
    let rules = |of: &Followed| -> Vec<String> {
        let rules = of.file.trust.iter();
        let names = rules.flat_map(|rule| rule.names.iter());
        names.map(|glob| glob.as_str().to_owned()).collect()
    };
    let same = followed.iter().find(|of| of.alias == *alias);
    if let (Some(same), Some(name)) = (same, name) {
        if same.file.trust.iter().any(|rule| rule.covers(name)) {
            return None;
        }
        let like = rules(same).into_iter();
        if let Some(like) = like.into_iter().find(|other| is_like(name.as_str(), other)) {
            return Some(full(alias, &like));
        }
    }
    followed.iter().find_map(|other| {
        let trusted = rules(other).into_iter().next()?;
        is_like(alias.as_str(), other.alias.as_str()).then(|| full(&other.alias, &trusted))
    })
}

fn full(alias: &Name, names: &str) -> String {
    format!("{alias}/{names}")
}

/// Whether one letter was added, left out, exchanged for another or for its neighbour.
fn is_like(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short == long || short.len() < LENGTH_MIN {
        return false;
    }
    let same = short.iter().zip(long).take_while(|(s, l)| s == l).count();
    let (short, long) = (&short[same..], &long[same..]);
    match (short, long) {
        ([s0, s1, s_rest @ ..], [l0, l1, l_rest @ ..]) if s0 == l1 && s1 == l0 => {
            s_rest == l_rest || short[1..] == long[1..]
        }
        ([_, s_rest @ ..], [_, l_rest @ ..]) if short.len() == long.len() => s_rest == l_rest,
        (_, [_, l_rest @ ..]) => short == l_rest,
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn followed(alias: &str, names: &[&str]) -> Followed {
        let repo =
            skep_proto::id::RepoId::from_hash(skep_proto::hash::Sha256::of(&[alias.as_bytes()]));
        let handle = "00".repeat(32);
        let rules = names.iter().map(|names| {
            format!(
                "[[trust]]\nnames = [\"{names}\"]\n\
                 publishers = [{{ label = \"ana\", handle = \"{handle}\" }}]\n"
            )
        });
        let rules: String = rules.collect();
        let text =
            format!("id = \"{repo}\"\nroot = {{ version = 1, sha256 = \"{handle}\" }}\n{rules}");
        Followed {
            alias: name(alias),
            file: skep_proto::trust::file::RepoFile::parse(&text).expect("a file"),
            text,
        }
    }

    #[test]
    fn one_slip_is_like_and_two_are_not() {
        for (a, b) in [
            ("filter", "fliter"),
            ("filter", "filtr"),
            ("filter", "filterr"),
            ("filter", "filtet"),
            ("filter", "xfilter"),
            ("aabb", "abab"),
        ] {
            assert!(is_like(a, b) && is_like(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("filter", "filter"),
            ("filter", "flitre"),
            ("filter", "fil"),
            ("filter", "drop"),
            ("ana", "ann"),
            ("filter", "filterer"),
        ] {
            assert!(!is_like(a, b) && !is_like(b, a), "{a} {b}");
        }
    }

    #[test]
    fn what_looks_like_a_trusted_package_or_repository_is_named() {
        let all = [
            followed("l3af", &["ratelimiting"]),
            followed("acme", &["*"]),
            followed("acne", &[]),
        ];
        let like = |alias: &str, text: Option<&str>| {
            trusted_like(&name(alias), text.map(name).as_ref(), &all)
        };
        let rate = Some("l3af/ratelimiting".to_owned());
        assert_eq!(like("l3af", Some("ratelimitng")), rate);
        assert_eq!(like("l3af", Some("ratelimiting")), None);
        assert_eq!(like("l3af", Some("other")), None);
        assert_eq!(like("l3fa", Some("ratelimiting")), rate);
        assert_eq!(like("acne", None), Some("acme/*".to_owned()));
        assert_eq!(like("acme", Some("anything")), None);
    }
}
