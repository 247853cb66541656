//! `skep mirror`: what this node keeps of others, and offers.
//!
//! The rules are in the files of the repositories; the node that runs keeps to them.

use skep_proto::control::{self, Dropped, MirrorChange, MirrorLine, MirrorRule, Request, Response};
use skep_proto::name::{Name, PackageRef, RepoRef, Requirement};
use skep_proto::size::Size;
use skep_proto::trust::file::{self, Glob, Keep, Kept, Newest, with_keep, with_kept, without_keep};

use super::parse::{parse_package, parse_repo};
use super::release::release;
use super::{Session, tree};
use crate::args::mirror::{Action, Mirror};
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::repos::{Followed, Repos};
use crate::report::text::size;
use crate::report::{Report, Table, Value};

pub(crate) async fn run(args: &Mirror, session: &Session<'_>) -> Result<Report> {
    if let Some(dir) = &args.tree {
        return tree::write(dir, &args.platform, session).await;
    }
    let only_looks = match &args.action {
        None | Some(Action::Status) => true,
        Some(
            Action::Add { dry_run, .. }
            | Action::Remove { dry_run, .. }
            | Action::Keep { dry_run, .. }
            | Action::Unkeep { dry_run, .. },
        ) => *dry_run,
    };
    let mut client = match only_looks {
        true => Client::looking(session).await?,
        false => Client::connect(session).await?,
    };
    let done = act(args, session, &mut client).await;
    client.close().await;
    done
}

async fn act(args: &Mirror, session: &Session<'_>, client: &mut Client) -> Result<Report> {
    match &args.action {
        None => list(session, client).await,
        Some(Action::Add {
            what,
            newest,
            max,
            dry_run,
        }) => {
            let (repo, glob) = parse_glob(what, "mirror add")?;
            let keep = Keep {
                names: vec![glob],
                newest: parse_newest(newest)?,
                size: max.as_deref().map(parse_size).transpose()?,
            };
            add(&repo, &keep, *dry_run, session, client).await
        }
        Some(Action::Remove { what, dry_run }) => {
            let (repo, glob) = parse_glob(what, "mirror remove")?;
            remove(&repo, &glob, *dry_run, session, client).await
        }
        Some(Action::Keep { release, dry_run }) => keep(release, *dry_run, session, client).await,
        Some(Action::Unkeep { release, dry_run }) => {
            unkeep(release, *dry_run, session, client).await
        }
        Some(Action::Status) => status(session, client).await,
    }
}

/// `REPO/PATTERN`.
fn parse_glob(what: &str, verb: &str) -> Result<(RepoRef, Glob)> {
    let hint = || Hint::new(format!("skep {verb} 'REPO/*', or REPO/NAME"));
    let Some((repo, glob)) = what.split_once('/') else {
        return Err(CliError::usage(
            format!("`{what}` is not `REPO/PATTERN`"),
            hint(),
        ));
    };
    let glob = glob.parse();
    let glob = glob.map_err(|e: file::Error| CliError::usage(e.to_string(), hint()))?;
    Ok((parse_repo(repo)?, glob))
}

fn parse_newest(text: &str) -> Result<Newest> {
    let newest = text.parse().ok();
    newest
        .filter(|newest| *newest != Newest::Count(0))
        .ok_or_else(|| {
            let message = format!("`{text}` is not a number of versions");
            CliError::usage(message, Hint::new("--newest 3, or --newest all"))
        })
}

/// As a number of versions, it is of something: a rule that keeps nothing would only let go.
fn parse_size(text: &str) -> Result<Size> {
    let size = text.parse();
    let size = size.map_err(|e: skep_proto::size::Error| {
        CliError::usage(e.to_string(), Hint::new("--max '5 GiB', or --max 5G"))
    })?;
    match size {
        Size(0) => Err(CliError::usage(
            format!("nothing fits `--max {text}`"),
            Hint::new("skep mirror remove REPO/PATTERN takes a rule away"),
        )),
        size => Ok(size),
    }
}

async fn asked(client: &mut Client) -> Result<control::Mirror> {
    match client.ask(Request::Mirror).await? {
        Response::Mirror(mirror) => Ok(mirror),
        other => Err(unexpected(&other)),
    }
}

fn rule_table(rules: Vec<MirrorRule>) -> Table {
    let mut table = Table::new(&["for", "newest", "max", "wanted", "here", "size"]);
    for rule in rules {
        table.push([
            rule.what.into(),
            rule.newest.into(),
            rule.size_bytes_max.map_or(Value::None, Value::Size),
            rule.wanted.into(),
            rule.here.into(),
            Value::Size(rule.here_bytes),
        ]);
    }
    table
}

async fn list(session: &Session<'_>, client: &mut Client) -> Result<Report> {
    let mirror = asked(client).await?;
    if mirror.rules.is_empty() {
        session.ui.say("no rules: nothing is mirrored");
        session.ui.next("skep mirror add 'REPO/*'");
    }
    let most = mirror
        .quota_bytes
        .map(|quota| format!(" of {}", size(quota)));
    session.ui.say_detail(&format!(
        "all releases here, used and published ones too: {}{}",
        size(mirror.held_bytes),
        most.unwrap_or_default()
    ));
    Ok(Report::list("mirror", rule_table(mirror.rules)))
}

fn release_table(lines: Vec<MirrorLine>) -> Table {
    let mut releases = Table::new(&["release", "state", "size", "by", "because"]);
    for line in lines {
        releases.push([
            line.release.into(),
            line.state.into(),
            line.size_bytes.map_or(Value::None, Value::Size),
            line.why.into(),
            line.because.into(),
        ]);
    }
    releases
}

async fn status(session: &Session<'_>, client: &mut Client) -> Result<Report> {
    let mirror = asked(client).await?;
    if let Some(over) = above_quota(&mirror) {
        session.ui.warn(&over);
    }
    let mut stays = Table::new(&["by", "size"]);
    for stay in mirror.stays {
        stays.push([stay.why.into(), Value::Size(stay.size_bytes)]);
    }
    let quota = mirror.quota_bytes.map_or(Value::None, Value::Size);
    Ok(Report::answer("mirror.status")
        .fact("quota", quota)
        .fact("held", Value::Size(mirror.held_bytes))
        .fact("planned", Value::Size(mirror.planned_bytes))
        .fact("left_off", mirror.left_off as u64)
        .table("stays", stays)
        .table("rules", rule_table(mirror.rules))
        .table("releases", release_table(mirror.releases)))
}

/// That more is here than the quota, and why.
fn above_quota(mirror: &control::Mirror) -> Option<String> {
    let quota = mirror
        .quota_bytes
        .filter(|quota| mirror.held_bytes > *quota)?;
    let why = match mirror.planned_bytes > quota {
        true => {
            let stays = mirror.stays.iter();
            let stays: Vec<String> = stays
                .map(|stay| format!("{} by `{}`", size(stay.size_bytes), stay.why))
                .collect();
            format!(
                "no rule lets go {}; what a person can: skep node gc --used --dry-run",
                stays.join(", ")
            )
        }
        false => "what is too much is about to go".to_owned(),
    };
    let (held, quota) = (size(mirror.held_bytes), size(quota));
    Some(format!(
        "{held} are here, and `quota` of config.toml is {quota}: {why}"
    ))
}

/// A repository whose file was changed, or would be, and what that changes.
struct Edited {
    followed: Followed,
    change: MirrorChange,
    dry_run: bool,
}

/// Changes the file of a repository while nobody else does, has the node read it and let go what was
/// taken out of it: as it said before that it would.
async fn edit(
    repo: &RepoRef,
    dry_run: bool,
    session: &Session<'_>,
    client: &mut Client,
    change: impl FnOnce(&Followed) -> Result<(String, Vec<Dropped>)>,
) -> Result<Edited> {
    let repos = Repos::of(&session.home);
    let _one = match dry_run {
        true => None,
        false => Some(session.home.lock(session.ui).await?),
    };
    let followed = repos.find(repo)?;
    let (text, dropped) = change(&followed)?;
    let id = followed.file.id;
    let planned = Request::PlanMirror {
        repo: id,
        file: text.clone(),
        dropped: dropped.clone(),
    };
    let change = match client.ask(planned).await? {
        Response::MirrorChange(change) => change,
        other => return Err(unexpected(&other)),
    };
    if dry_run {
        session.ui.say("nothing was changed (dry run)");
    } else {
        if text != followed.text {
            repos.edit(&followed.alias, &text)?;
        }
        client.ask(Request::Reload).await?;
        if !dropped.is_empty() {
            client.ask(Request::LetGo { repo: id, dropped }).await?;
        }
        if client.is_own() {
            session.ui.next("skep node run");
        }
    }
    Ok(Edited {
        followed,
        change,
        dry_run,
    })
}

impl Edited {
    /// Adds what changes; each release that comes or has no room only if nobody can look at
    /// `mirror status` for it.
    fn report(self, report: Report) -> Report {
        let Self {
            change, dry_run, ..
        } = self;
        let goes = |line: &&MirrorLine| line.state == "leaves";
        let let_go = change.releases.iter().filter(goes);
        let let_go: Vec<String> = let_go.map(|line| line.release.clone()).collect();
        let report = report
            .fact("fetch", change.fetched)
            .fact("fetch_size", Value::Size(change.fetched_bytes))
            .fact("unknown_sizes", change.unknown_sizes)
            .fact("no_room", change.no_room)
            .fact("let_go", let_go)
            .fact("freed", Value::Size(change.freed_bytes))
            .fact("left_off", change.left_off as u64)
            .fact("dry_run", dry_run);
        match dry_run {
            true => report.table("releases", release_table(change.releases)),
            false => report,
        }
    }
}

/// An edit that cannot be made: what to do instead.
fn by_hand(followed: &Followed, session: &Session<'_>) -> impl FnOnce(file::Error) -> CliError {
    let file = session
        .home
        .repos_dir()
        .join(format!("{}.toml", followed.alias));
    move |error| {
        let hint = Hint::new(format!("edit the file: {}", quoted(&file)));
        CliError::new(Exit::Failed, error.to_string(), hint)
    }
}

async fn add(
    repo: &RepoRef,
    rule: &Keep,
    dry_run: bool,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let edited = edit(repo, dry_run, session, client, |followed| {
        let text = with_keep(&followed.text, rule).map_err(by_hand(followed, session))?;
        Ok((text, Vec::new()))
    });
    let edited = edited.await?;
    let most = rule.size.map(|size| Value::Size(size.0));
    let report = Report::answer("mirror.add")
        .fact(
            "for",
            format!("{}/{}", edited.followed.alias, rule.names_text()),
        )
        .fact("newest", rule.newest.to_string())
        .fact("max", most.unwrap_or(Value::None));
    Ok(edited.report(report))
}

async fn remove(
    repo: &RepoRef,
    glob: &Glob,
    dry_run: bool,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let edited = edit(repo, dry_run, session, client, |followed| {
        let rules = &followed.file.keep;
        let is_it = |rule: &Keep| rule.names_text() == glob.as_str();
        let Some(at) = rules.iter().position(is_it) else {
            return Err(no_rule(followed, glob, session));
        };
        let text = without_keep(&followed.text, at).map_err(by_hand(followed, session))?;
        let dropped = Dropped {
            names: glob.as_str().to_owned(),
            version: None,
        };
        Ok((text, vec![dropped]))
    });
    let edited = edited.await?;
    let what = format!("{}/{}", edited.followed.alias, glob.as_str());
    Ok(edited.report(Report::answer("mirror.remove").fact("for", what)))
}

fn no_rule(followed: &Followed, glob: &Glob, session: &Session<'_>) -> CliError {
    let alias = &followed.alias;
    let mut with_others = followed
        .file
        .keep
        .iter()
        .filter(|rule| rule.names.contains(glob));
    let message = format!("no rule is for `{alias}/{}` alone", glob.as_str());
    let hint = match with_others.next() {
        Some(rule) => {
            let file = session.home.repos_dir().join(format!("{alias}.toml"));
            format!(
                "one is for {}; take the name out of it in the file {}",
                rule.names_text(),
                quoted(&file)
            )
        }
        None => "skep mirror lists the rules".to_owned(),
    };
    CliError::new(Exit::NotFound, message, Hint::new(hint))
}

async fn keep(
    what: &str,
    dry_run: bool,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    parse_package(what, "mirror keep")?;
    let request = Request::Release {
        package: what.to_owned(),
        normal: true,
        allow_yanked: true,
        accept_change: true,
    };
    let found = release(request, client).await?;
    let kept = Kept {
        name: found.name,
        version: found.version,
    };
    let repo = RepoRef::Id(found.repo);
    let edited = edit(&repo, dry_run, session, client, |followed| {
        let mut all = followed.file.kept.clone();
        if !all.contains(&kept) {
            all.push(kept.clone());
        }
        let text = with_kept(&followed.text, &all).map_err(by_hand(followed, session))?;
        Ok((text, Vec::new()))
    });
    let edited = edited.await?;
    let report = Report::answer("mirror.keep")
        .fact("release", format!("{}/{kept}", edited.followed.alias))
        .fact("here", found.held);
    Ok(edited.report(report))
}

async fn unkeep(
    what: &str,
    dry_run: bool,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let reference = parse_package(what, "mirror unkeep")?;
    let mut gone = Vec::new();
    let edited = edit(&reference.repo, dry_run, session, client, |followed| {
        let kept = followed.file.kept.iter().cloned();
        let (left, let_go): (Vec<Kept>, Vec<Kept>) =
            kept.partition(|kept| !means(&reference, kept));
        gone = let_go;
        if gone.is_empty() {
            let message = format!("`{what}` is not kept by name");
            let hint = Hint::new("skep mirror lists what is");
            return Err(CliError::new(Exit::NotFound, message, hint));
        }
        let text = with_kept(&followed.text, &left).map_err(by_hand(followed, session))?;
        let dropped = gone.iter().map(|kept| Dropped {
            names: kept.name.as_str().to_owned(),
            version: Some(kept.version.clone()),
        });
        Ok((text, dropped.collect()))
    });
    let edited = edited.await?;
    let alias = &edited.followed.alias;
    let gone: Vec<String> = gone.iter().map(|kept| format!("{alias}/{kept}")).collect();
    Ok(edited.report(Report::answer("mirror.unkeep").fact("releases", gone)))
}

/// Whether a reference means a release that is kept.
fn means(reference: &PackageRef, kept: &Kept) -> bool {
    let is_named = |name: &Name| kept.name == *name;
    let fits = |requirement: &Requirement| requirement.matches(&kept.version);
    is_named(&reference.name) && reference.requirement.as_ref().is_none_or(fits)
}
