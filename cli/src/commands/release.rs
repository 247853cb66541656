//! A release as the node gives it: its name, its manifest once this process has checked it, and its
//! refusal.

use skep_proto::control::{Fact, FactOutcome, Release, Request, Response};
use skep_proto::hash::Sha256;
use skep_proto::key::{Signature, Signatures};
use skep_proto::package::dsse::{IN_TOTO, signers};
use skep_proto::package::manifest::Manifest;

use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result};

/// A release that a reference means, with what the node thinks of it.
pub(crate) async fn release(request: Request, client: &mut Client) -> Result<Release> {
    match client.ask(request).await? {
        Response::Release(release) => Ok(*release),
        other => Err(unexpected(&other)),
    }
}

/// The refusal of a release, with what a person needs to decide.
pub(crate) fn refused(release: &Release) -> CliError {
    let called = called(release);
    let failed: Vec<&Fact> = release
        .facts
        .iter()
        .filter(|fact| fact.outcome == FactOutcome::Fail)
        .collect();
    let nobody = failed.iter().any(|fact| fact.check == "publisher");
    let message = match failed.as_slice() {
        [only] if only.check == "publisher" => format!("you do not trust anybody for `{called}`"),
        _ => format!("`{called}@{}` is not admitted", release.version),
    };
    let keys: Vec<String> = release
        .owner
        .keys
        .iter()
        .map(|key| key.fingerprint())
        .collect();
    let owner = format!(
        "{} ({} of {} keys: {})",
        release.owner.label,
        release.signers.len(),
        release.owner.keys.len(),
        keys.join(", ")
    );
    let hint = match failed.first() {
        _ if nobody => Hint::new(format!(
            "compare the fingerprint with one from another channel, then\nskep trust add {called}"
        )),
        Some(fact) if fact.check == "yank" => Hint::new("another version, or --allow-yanked"),
        Some(fact) if fact.check == "change" || fact.check == "restriction" => {
            Hint::new("ask its publisher; then --accept-change")
        }
        _ => Hint::new(format!(
            "skep verify --explain {called}@{}",
            release.version
        )),
    };
    let mut error = CliError::new(Exit::Untrusted, message, hint).detail("publisher", owner);
    for fact in failed.iter().filter(|fact| fact.check != "publisher") {
        error = error.detail(fact.check.clone(), fact.text.clone());
    }
    let words = ["yanked", "suspended"].map(|state| against(release, state));
    for line in words.into_iter().flatten() {
        error = error.detail("said", line);
    }
    error
}

/// What keeps a release from being admitted, in a line.
pub(crate) fn reasons(release: &Release) -> String {
    let failed = release.facts.iter();
    let failed = failed.filter(|fact| fact.outcome == FactOutcome::Fail);
    let reasons: Vec<String> = failed
        .map(|fact| format!("{}: {}", fact.check, fact.text))
        .collect();
    reasons.join("; ")
}

/// What was said against a release or its package, in a line each: that it is in this state, why, and
/// what to use instead.
pub(crate) fn against(release: &Release, state: &str) -> Vec<String> {
    let package = called(release);
    let said = release.said.iter().filter(|said| said.state == state);
    said.map(|said| {
        let what = match said.whole_package {
            true => format!("`{package}`"),
            false => format!("`{package}@{}`", release.version),
        };
        let mut line = format!("{what} is {state}");
        if !said.reason.is_empty() {
            line.push_str(&format!(": {}", said.reason));
        }
        if let Some(successor) = &said.successor {
            line.push_str(&format!("; use `{successor}` instead"));
        }
        line
    })
    .collect()
}

/// `repo/name`, by alias where there is one.
pub(crate) fn called(release: &Release) -> String {
    let repo = match &release.alias {
        Some(alias) => alias.to_string(),
        None => release.repo.to_string(),
    };
    format!("{repo}/{}", release.name)
}

/// The manifest of a release, checked by this process: its hash is the one that the view lists, it
/// is of this repository, name and version, and keys that count have signed it. Gives their
/// fingerprints.
pub(crate) fn checked_manifest(release: &Release) -> Result<(Manifest, Vec<String>)> {
    let what = format!("{}@{}", called(release), release.version);
    let refuse = |why: String| {
        let hint = Hint::new(format!("skep verify --explain {what}"));
        CliError::new(
            Exit::Untrusted,
            format!("the manifest of `{what}` {why}"),
            hint,
        )
    };
    let payload = &release.payload.0;
    if Sha256::of(&[payload]) != release.manifest {
        return Err(refuse("is not the one that the log lists".to_owned()));
    }
    let manifest =
        Manifest::parse(payload).map_err(|e| refuse("cannot be read".to_owned()).because(&e))?;
    manifest
        .check_binding(&release.repo, &release.name, &release.version)
        .map_err(|e| refuse("is of something else".to_owned()).because(&e))?;
    let signed = signers(IN_TOTO, payload, &signatures(release));
    let counted: Vec<String> = release
        .signers
        .iter()
        .filter(|key| signed.contains(key))
        .map(|key| key.fingerprint())
        .collect();
    if counted.is_empty() {
        return Err(refuse(
            "is not signed by any key that published it".to_owned(),
        ));
    }
    Ok((manifest, counted))
}

pub(super) fn signatures(release: &Release) -> Signatures {
    let all = release.signatures.iter();
    all.filter_map(|(key, signature)| {
        let bytes = signature.0.as_slice().try_into().ok()?;
        Some((*key, Signature::from_bytes(bytes)))
    })
    .collect()
}
