//! What a .skep file has and what became of it, for people and for programs.

use std::collections::BTreeMap;

use skep_proto::control::{Bundle, BundleRelease, BundleRepo, Room};

use crate::commands::Session;
use crate::report::text::{ago, cell, size};
use crate::report::{Report, Table, Value};

/// Says in lines what is new, what is not trusted and why, what is yanked now, and how old it is;
/// `would` where nothing was taken.
pub(super) fn say(bundle: &Bundle, would: bool, session: &Session<'_>) {
    let ui = session.ui;
    for repo in &bundle.repos {
        let called = called(repo);
        let new = repo.releases.iter().filter(|release| !release.held);
        ui.say(&format!(
            "{called}   new: {} of {} releases, {} root documents, {} entries",
            new.count(),
            repo.releases.len(),
            repo.new_documents,
            repo.new_entries
        ));
        for behind in &repo.behind {
            ui.warn(&format!("{called} is older in the file: {behind}"));
        }
        for release in repo.releases.iter().filter(|r| r.admitted == Some(false)) {
            ui.say(&format!(
                "not trusted: {}: {}",
                exact(repo, release),
                release.why.join("; ")
            ));
        }
        for yanked in &repo.yanked {
            let release = format!("{called}/{}@{}", yanked.name, yanked.version);
            let mut line = format!("yanked{}: {release}", if would { "" } else { " now" });
            for reason in yanked.reasons.iter().filter(|reason| !reason.is_empty()) {
                line.push_str(&format!(": {}", cell(reason)));
            }
            ui.say(&line);
        }
        let claimed = since(repo.claimed_at);
        ui.say(&match repo.cosigned_at {
            Some(at) => format!(
                "how old: the logs were witnessed {}, and the newest entry says {claimed}",
                since(at)
            ),
            None => format!(
                "how old: the newest entry says {claimed}; no witness has signed how new the logs are"
            ),
        });
        let first = repo.releases.iter().find(|r| r.admitted == Some(false));
        if let Some(first) = first.filter(|_| repo.alias.is_some()) {
            ui.next(format!("skep trust add {called}/{}", first.name));
        }
    }
    ui.say(&format!(
        "{} of {} files {}new, {}",
        bundle.new_files,
        bundle.files,
        if would { "are " } else { "were " },
        size(bundle.new_bytes)
    ));
}

/// The same as data.
pub(super) fn as_report(verb: &'static str, bundles: &[Bundle]) -> Report {
    let mut repos = Table::new(&[
        "repository",
        "id",
        "version",
        "logs",
        "new_documents",
        "new_entries",
        "behind",
        "claimed_at",
        "cosigned_at",
    ]);
    let mut releases = Table::new(&[
        "release", "manifest", "owner", "size", "state", "yanked", "new", "trusted", "why",
    ]);
    let mut yanked = Table::new(&["release", "reasons"]);
    for repo in bundles.iter().flat_map(|bundle| &bundle.repos) {
        repos.push([
            called(repo).into(),
            repo.id.to_string().into(),
            repo.version.into(),
            repo.logs.into(),
            repo.new_documents.into(),
            repo.new_entries.into(),
            repo.behind.clone().into(),
            Value::Time(time(repo.claimed_at)),
            repo.cosigned_at.map(|at| Value::Time(time(at))).into(),
        ]);
        for release in &repo.releases {
            releases.push([
                exact(repo, release).into(),
                Value::Hash(release.manifest.to_string()),
                release.owner.label.to_string().into(),
                Value::Size(release.size_bytes),
                release.line.state.clone().into(),
                release.line.yanked.into(),
                (!release.held).into(),
                release.admitted.map(Value::Bool).into(),
                release.why.clone().into(),
            ]);
        }
        for of in &repo.yanked {
            yanked.push([
                format!("{}/{}@{}", called(repo), of.name, of.version).into(),
                of.reasons.clone().into(),
            ]);
        }
    }
    let sum = |of: fn(&Bundle) -> u64| bundles.iter().map(of).sum::<u64>();
    let mut report = Report::answer(verb)
        .fact("size", Value::Size(sum(|bundle| bundle.size_bytes)))
        .fact("files", sum(|bundle| bundle.files))
        .fact("new_files", sum(|bundle| bundle.new_files))
        .fact("new_size", Value::Size(sum(|bundle| bundle.new_bytes)));
    if let Some((room, with)) = room_with(bundles) {
        let quota = room.quota_bytes.map_or(Value::None, Value::Size);
        report = report.fact("held", Value::Size(with)).fact("quota", quota);
    }
    report
        .table("repositories", repos)
        .table("releases", releases)
        .table("yanked", yanked)
}

/// How much a node had before these files, and what all releases have together with theirs.
fn room_with(bundles: &[Bundle]) -> Option<(Room, u64)> {
    let room = bundles.first()?.room?;
    let repos = bundles.iter().flat_map(|bundle| &bundle.repos);
    let releases = repos.flat_map(|repo| {
        let releases = repo.releases.iter().filter(|release| !release.held);
        releases.map(|release| ((repo.id, release.manifest), release.size_bytes))
    });
    // Several files may have the same release.
    let new: BTreeMap<_, u64> = releases.collect();
    let sizes = new.values().copied();
    Some((room, sizes.fold(room.held_bytes, u64::saturating_add)))
}

/// That these files go beyond the quota, and what that means.
pub(super) fn above_quota(bundles: &[Bundle]) -> Option<String> {
    let (room, with) = room_with(bundles)?;
    beyond(room, with)
}

fn beyond(room: Room, with: u64) -> Option<String> {
    let quota = room.quota_bytes?;
    (with > quota.max(room.held_bytes)).then(|| {
        format!(
            "with these releases {} are here, and `quota` of config.toml is {}: what no rule is for \
             stays, and what rules keep gives way to it: skep mirror status",
            size(with),
            size(quota)
        )
    })
}

/// By alias where it is followed; what it calls itself says nothing about which it is.
fn called(repo: &BundleRepo) -> String {
    repo.alias
        .as_ref()
        .map_or_else(|| repo.id.to_string(), ToString::to_string)
}

/// By name and version.
pub(crate) fn exact(repo: &BundleRepo, release: &BundleRelease) -> String {
    format!("{}/{}@{}", called(repo), release.name, release.line.version)
}

/// How long ago that was.
fn since(then: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    ago(time(then), time(now.map_or(0, |now| now.as_secs())))
}

fn time(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_met_exactly_and_not_by_a_byte_more() {
        let said = |held_bytes, quota_bytes, with| {
            let room = Room {
                held_bytes,
                quota_bytes,
            };
            beyond(room, with)
        };
        assert_eq!(said(0, None, 2048), None);
        assert_eq!(said(0, Some(2048), 2048), None);
        let over = said(0, Some(2047), 2048).expect("beyond it");
        assert!(over.contains("2.0 KiB are here"), "{over}");
        // Who brings nothing new makes nothing worse.
        assert_eq!(said(2048, Some(2047), 2048), None);
    }
}
