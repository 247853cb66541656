//! Local trust: rules, view and release to a decision with its facts.
//!
//! Following a repository trusts nobody in it. A release is admitted in trusted mode iff the view
//! lists it, nothing restricts it, and every condition of at least one local rule holds; no rule
//! means refused. What this version cannot evaluate it refuses and names. Normal mode skips the
//! rules, never the hashes, the signature or the binding to repository, name and version.

pub mod file;

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::Sha256;
use crate::id::{HandleId, RepoId};
use crate::key::Key;
use crate::name::{Name, Version};
use file::{Freshness, LayerSignature, Rule, Who};

/// What the view says of the release that is to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub repo: RepoId,
    pub name: Name,
    pub version: Version,
    pub listing: Listing,
    pub manifest: Sha256,
    pub owner: Handle,
    /// Keys of the owner that published this manifest within their usable logs.
    pub signers: BTreeSet<Key>,
    /// Handles of role approver that approved this manifest.
    pub approvers: Vec<Handle>,
    pub yanked: bool,
    /// What this node saw of it before, and no longer sees though its own key did not say so.
    pub vanished: Option<&'static str>,
    /// What is suspended, if anything: the version, the name or the handle.
    pub suspended: Option<&'static str>,
    /// The repository's latest root document says `visibility: members`.
    pub members_only: bool,
    /// The repository's latest root document names witnesses.
    pub witnessed: bool,
    /// The view cannot be relied on at present, and why (disputed, behind, needs an upgrade).
    pub view_doubt: Option<String>,
}

/// A handle as decisions show it: the id decides, the label is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    pub id: HandleId,
    pub label: Name,
}

/// The state of a release in the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    Listed,
    /// Why it is not listed yet.
    Pending(String),
    /// Two claims, none settled.
    Quarantined,
}

/// How a person asks for the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Normal mode: the rules are skipped, loudly.
    pub normal: bool,
    pub allow_yanked: bool,
    /// The manifest that was admitted before under this name and version.
    pub admitted_before: Option<Sha256>,
    pub accept_change: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub admitted: bool,
    /// Everything that was looked at, in order.
    pub facts: Vec<Fact>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub outcome: Outcome,
    /// One word: what was looked at.
    pub check: &'static str,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Fail,
    /// Shown, and decides nothing.
    Note,
}

/// Decides. A pure function: the same rules, subject and question give the same answer and facts.
pub fn decide(rules: &[Rule], subject: &Subject, asked: &Asked) -> Decision {
    let mut facts = view_facts(subject, asked);
    if asked.normal {
        facts.push(note(
            "policy",
            "skipped: normal mode; hashes and signatures still hold",
        ));
    } else {
        facts.extend(rule_facts(rules, subject));
    }
    Decision {
        admitted: facts.iter().all(|fact| fact.outcome != Outcome::Fail),
        facts,
    }
}

fn ok(check: &'static str, text: impl Into<String>) -> Fact {
    fact(Outcome::Ok, check, text)
}

fn fail(check: &'static str, text: impl Into<String>) -> Fact {
    fact(Outcome::Fail, check, text)
}

fn note(check: &'static str, text: impl Into<String>) -> Fact {
    fact(Outcome::Note, check, text)
}

fn fact(outcome: Outcome, check: &'static str, text: impl Into<String>) -> Fact {
    let text = text.into();
    Fact {
        outcome,
        check,
        text,
    }
}

/// What holds or fails whatever the rules say.
fn view_facts(subject: &Subject, asked: &Asked) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(doubt) = &subject.view_doubt {
        facts.push(match asked.admitted_before == Some(subject.manifest) {
            true => note("view", format!("admitted before; nothing new is: {doubt}")),
            false => fail("view", format!("nothing new is admitted: {doubt}")),
        });
    }
    if subject.members_only {
        facts.push(fail(
            "members",
            "a members-only repository, which this skep cannot serve yet",
        ));
    }
    facts.push(match &subject.listing {
        Listing::Listed => ok("listed", "the only manifest of this version"),
        Listing::Pending(why) => fail("listed", format!("pending: {why}")),
        Listing::Quarantined => fail(
            "listed",
            "quarantined: the owner's keys published different manifests under this version",
        ),
    });
    if let Some(what) = subject.suspended {
        facts.push(fail("suspended", format!("the registrar suspended {what}")));
    }
    match (subject.yanked, asked.allow_yanked) {
        (true, false) => facts.push(fail("yank", "its publisher yanked this version")),
        (true, true) => facts.push(note("yank", "yanked, and allowed by --allow-yanked")),
        (false, _) => {}
    }
    match (subject.vanished, asked.accept_change) {
        (Some(what), false) => facts.push(fail(
            "restriction",
            format!("this node saw it {what}, and that vanished without its own key's word"),
        )),
        (Some(what), true) => facts.push(note(
            "restriction",
            format!("it was {what}, and that vanished; accepted by --accept-change"),
        )),
        (None, _) => {}
    }
    match asked.admitted_before {
        Some(before) if before != subject.manifest && !asked.accept_change => facts.push(fail(
            "change",
            format!("this node admitted manifest {before} under this version before"),
        )),
        Some(before) if before != subject.manifest => facts.push(note(
            "change",
            format!("replaces manifest {before}, accepted by --accept-change"),
        )),
        _ => {}
    }
    facts
}

/// The facts of the first rule that admits; else of the first that covers the name, or that none does.
fn rule_facts(rules: &[Rule], subject: &Subject) -> Vec<Fact> {
    let covering = rules.iter().filter(|rule| rule.covers(&subject.name));
    let mut judged = covering.map(|rule| judge(rule, subject));
    let Some(first) = judged.next() else {
        return vec![fail(
            "publisher",
            format!("you do not trust anybody for `{}`", subject.name),
        )];
    };
    let holds = |facts: &Vec<Fact>| facts.iter().all(|fact| fact.outcome != Outcome::Fail);
    if holds(&first) {
        return first;
    }
    judged.find(holds).unwrap_or(first)
}

fn judge(rule: &Rule, subject: &Subject) -> Vec<Fact> {
    let mut facts = vec![publisher(rule, subject)];
    facts.extend(approvals(rule, subject));
    facts.push(freshness(rule, subject));
    facts.extend(not_evaluated(rule));
    facts
}

fn publisher(rule: &Rule, subject: &Subject) -> Fact {
    let owner = &subject.owner;
    let trusted = rule.publishers.iter().any(|who| match who {
        Who::Handle { handle, .. } => *handle == owner.id,
        Who::Key { key } => subject.signers.iter().any(|k| k.fingerprint() == *key),
    });
    let keys: Vec<String> = subject.signers.iter().map(Key::fingerprint).collect();
    let signed = format!("{} (signed by {})", owner.label, keys.join(", "));
    if trusted {
        ok(
            "publisher",
            format!("{signed}, trusted for {}", rule.names_text()),
        )
    } else {
        fail(
            "publisher",
            format!("{signed}, not trusted for {}", rule.names_text()),
        )
    }
}

fn approvals(rule: &Rule, subject: &Subject) -> Option<Fact> {
    let wanted = rule.approvals.as_ref()?;
    let approved: BTreeSet<HandleId> = subject.approvers.iter().map(|handle| handle.id).collect();
    // By handle: a rule may name one under two labels, and it approves once.
    let counted: BTreeMap<HandleId, &str> = wanted
        .of
        .iter()
        .filter(|who| approved.contains(&who.handle))
        .map(|who| (who.handle, who.label.as_str()))
        .collect();
    let text = format!(
        "{} of {} needed{}{}",
        counted.len(),
        wanted.need,
        if counted.is_empty() { "" } else { ": " },
        counted.values().copied().collect::<Vec<_>>().join(", ")
    );
    let enough = u64::try_from(counted.len()).is_ok_and(|n| n >= wanted.need);
    Some(if enough {
        ok("approvals", text)
    } else {
        fail("approvals", text)
    })
}

fn freshness(rule: &Rule, subject: &Subject) -> Fact {
    match (rule.freshness, subject.witnessed) {
        (_, true) => fail(
            "fresh",
            "this repository names witnesses, and this skep cannot evaluate freshness yet",
        ),
        (Freshness::Required, false) => {
            fail("fresh", "required, but this repository names no witnesses")
        }
        (Freshness::IfWitnessed, false) => {
            note("fresh", "not proven: this repository names no witnesses")
        }
    }
}

/// Conditions that this version reads and cannot judge: refused, by name.
fn not_evaluated(rule: &Rule) -> Vec<Fact> {
    let required = |layer| layer == LayerSignature::Required;
    let conditions = [
        ("attestations", !rule.attestations.is_empty()),
        ("kernel_signature", required(rule.kernel_signature)),
        ("hypervisor_signature", required(rule.hypervisor_signature)),
        ("min_age", rule.min_age.is_some()),
        ("worst_advisory", rule.worst_advisory.is_some()),
        ("deny", rule.deny.is_some()),
    ];
    let asked = conditions.iter().filter(|(_, asked)| *asked);
    asked
        .map(|(name, _)| {
            fail(
                "condition",
                format!("the rule asks for `{name}`, which this skep cannot evaluate yet"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests;
