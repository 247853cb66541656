//! `skep mirror`: what this node keeps of others, and offers.
//!
//! The rules are in the files of the repositories; the node that runs keeps to them.

use skep_proto::control::{self, Collected, MirrorRule, Request, Response};
use skep_proto::id::RepoId;
use skep_proto::name::{Name, PackageRef, RepoRef, Requirement, Version};
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
    let looks = matches!(args.action, None | Some(Action::Status));
    let mut client = match looks {
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
        Some(Action::Add { what, newest, max }) => {
            let (repo, glob) = parse_glob(what, "mirror add")?;
            let keep = Keep {
                names: vec![glob],
                newest: parse_newest(newest)?,
                size: max.as_deref().map(parse_size).transpose()?,
            };
            add(&repo, &keep, session, client).await
        }
        Some(Action::Remove { what }) => {
            let (repo, glob) = parse_glob(what, "mirror remove")?;
            remove(&repo, &glob, session, client).await
        }
        Some(Action::Keep { release }) => keep(release, session, client).await,
        Some(Action::Unkeep { release }) => unkeep(release, session, client).await,
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

async fn status(session: &Session<'_>, client: &mut Client) -> Result<Report> {
    let mirror = asked(client).await?;
    if let Some(over) = above_quota(&mirror) {
        session.ui.warn(&over);
    }
    let mut stays = Table::new(&["by", "size"]);
    for stay in mirror.stays {
        stays.push([stay.why.into(), Value::Size(stay.size_bytes)]);
    }
    let mut releases = Table::new(&["release", "state", "size", "by", "because"]);
    for line in mirror.releases {
        releases.push([
            line.release.into(),
            line.state.into(),
            line.size_bytes.map_or(Value::None, Value::Size),
            line.why.into(),
            line.because.into(),
        ]);
    }
    let quota = mirror.quota_bytes.map_or(Value::None, Value::Size);
    Ok(Report::answer("mirror.status")
        .fact("quota", quota)
        .fact("held", Value::Size(mirror.held_bytes))
        .fact("planned", Value::Size(mirror.planned_bytes))
        .fact("left_off", mirror.left_off as u64)
        .table("stays", stays)
        .table("rules", rule_table(mirror.rules))
        .table("releases", releases))
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

/// Changes the file of a repository while nobody else does, and has the node read it.
async fn edit(
    repo: &RepoRef,
    session: &Session<'_>,
    client: &mut Client,
    change: impl FnOnce(&Followed) -> Result<String>,
) -> Result<Followed> {
    let repos = Repos::of(&session.home);
    let _one = session.home.lock(session.ui).await?;
    let followed = repos.find(repo)?;
    let text = change(&followed)?;
    if text != followed.text {
        repos.edit(&followed.alias, &text)?;
    }
    client.ask(Request::Reload).await?;
    if client.is_own() {
        session.ui.next("skep node run");
    }
    Ok(followed)
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
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let followed = edit(repo, session, client, |followed| {
        with_keep(&followed.text, rule).map_err(by_hand(followed, session))
    });
    let alias = followed.await?.alias;
    let most = rule.size.map(|size| Value::Size(size.0));
    Ok(Report::answer("mirror.add")
        .fact("for", format!("{alias}/{}", rule.names_text()))
        .fact("newest", rule.newest.to_string())
        .fact("max", most.unwrap_or(Value::None)))
}

async fn remove(
    repo: &RepoRef,
    glob: &Glob,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let followed = edit(repo, session, client, |followed| {
        let rules = &followed.file.keep;
        let is_it = |rule: &Keep| rule.names_text() == glob.as_str();
        let Some(at) = rules.iter().position(is_it) else {
            return Err(no_rule(followed, glob, session));
        };
        without_keep(&followed.text, at).map_err(by_hand(followed, session))
    });
    let Followed { alias, file, .. } = followed.await?;
    let let_go = let_go(file.id, glob.as_str(), None, client).await?;
    Ok(Report::answer("mirror.remove")
        .fact("for", format!("{alias}/{}", glob.as_str()))
        .fact("let_go", let_go.let_go)
        .fact("freed", Value::Size(let_go.size_bytes)))
}

/// What no other rule is about goes at once; what one is about is the keeper's matter.
async fn let_go(
    repo: RepoId,
    names: &str,
    version: Option<Version>,
    client: &mut Client,
) -> Result<Collected> {
    let names = names.to_owned();
    let request = Request::LetGo {
        repo,
        names,
        version,
    };
    match client.ask(request).await? {
        Response::Collected(collected) => Ok(collected),
        other => Err(unexpected(&other)),
    }
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

async fn keep(what: &str, session: &Session<'_>, client: &mut Client) -> Result<Report> {
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
    let followed = edit(&repo, session, client, |followed| {
        let mut all = followed.file.kept.clone();
        if !all.contains(&kept) {
            all.push(kept.clone());
        }
        with_kept(&followed.text, &all).map_err(by_hand(followed, session))
    });
    let alias = followed.await?.alias;
    Ok(Report::answer("mirror.keep")
        .fact("release", format!("{alias}/{kept}"))
        .fact("here", found.held))
}

async fn unkeep(what: &str, session: &Session<'_>, client: &mut Client) -> Result<Report> {
    let reference = parse_package(what, "mirror unkeep")?;
    let mut gone = Vec::new();
    let followed = edit(&reference.repo, session, client, |followed| {
        let kept = followed.file.kept.iter().cloned();
        let (left, let_go): (Vec<Kept>, Vec<Kept>) =
            kept.partition(|kept| !means(&reference, kept));
        gone = let_go;
        if gone.is_empty() {
            let message = format!("`{what}` is not kept by name");
            let hint = Hint::new("skep mirror lists what is");
            return Err(CliError::new(Exit::NotFound, message, hint));
        }
        with_kept(&followed.text, &left).map_err(by_hand(followed, session))
    });
    let Followed { alias, file, .. } = followed.await?;
    let (mut went, mut freed) = (Vec::new(), 0);
    for kept in &gone {
        let (name, version) = (kept.name.as_str(), Some(kept.version.clone()));
        let let_go = let_go(file.id, name, version, client).await?;
        went.extend(let_go.let_go);
        freed += let_go.size_bytes;
    }
    let gone: Vec<String> = gone.iter().map(|kept| format!("{alias}/{kept}")).collect();
    Ok(Report::answer("mirror.unkeep")
        .fact("releases", gone)
        .fact("let_go", went)
        .fact("freed", Value::Size(freed)))
}

/// Whether a reference means a release that is kept.
fn means(reference: &PackageRef, kept: &Kept) -> bool {
    let is_named = |name: &Name| kept.name == *name;
    let fits = |requirement: &Requirement| requirement.matches(&kept.version);
    is_named(&reference.name) && reference.requirement.as_ref().is_none_or(fits)
}
