//! `skep trust`: whom you believe, and for what. Local, and empty at first.

use skep_proto::control::{Handle, Release, Request};
use skep_proto::name::{Name, PackageRef, RepoRef};
use skep_proto::trust::file::{Glob, Rule, Who, append_rule, remove_rules};

use super::parse::{parse_name, parse_package};
use super::repo::repo;
use super::{Session, lookalike};
use crate::args::trust::{Action, Trust};
use crate::client::Client;
use crate::error::{CliError, Exit, Hint, Result, could_not, quoted};
use crate::home::repos::{Followed, Repos};
use crate::report::{Report, Table};

pub(crate) async fn run(args: &Trust, session: &Session<'_>) -> Result<Report> {
    match &args.action {
        None => list(session),
        Some(Action::Add { what, names }) => {
            let mut client = Client::connect(session).await?;
            let added = add(what, names.as_deref(), session, &mut client).await;
            client.close().await;
            added
        }
        Some(Action::Remove { what }) => {
            let mut client = Client::connect(session).await?;
            let removed = remove(what, session, &mut client).await;
            client.close().await;
            removed
        }
        Some(Action::Test { release }) => {
            parse_package(release, "trust test")?;
            let mut client = Client::looking(session).await?;
            let tested = super::verify::judged(release, "trust.test", false, &mut client).await;
            client.close().await;
            tested.and_then(|(report, refused)| super::verify::verdict(report, refused, session))
        }
    }
}

fn list(session: &Session<'_>) -> Result<Report> {
    let mut table = Table::new(&["for", "as", "need", "handle", "id"]);
    for followed in Repos::of(&session.home).list()? {
        for rule in &followed.file.trust {
            let names = format!("{}/{}", followed.alias, rule.names_text());
            for who in &rule.publishers {
                let (label, id) = match who {
                    Who::Handle { label, handle } => (label.to_string(), handle.to_string()),
                    Who::Key { key } => ("-".to_owned(), key.clone()),
                };
                table.push([
                    names.as_str().into(),
                    "publisher".into(),
                    1_u64.into(),
                    label.into(),
                    id.into(),
                ]);
            }
            if let Some(approvals) = &rule.approvals {
                let of: Vec<String> = approvals.of.iter().map(|a| a.label.to_string()).collect();
                table.push([
                    names.as_str().into(),
                    "approver".into(),
                    approvals.need.into(),
                    of.join(", ").into(),
                    crate::report::Value::None,
                ]);
            }
        }
    }
    if table.rows.is_empty() {
        session.ui.say("you trust nobody");
        session.ui.next("skep trust add REPO/PACKAGE");
    }
    Ok(Report::list("trust", table))
}

/// A handle as a person compares it: its label with the fingerprints of its keys.
pub(crate) fn publisher_line(handle: &Handle) -> String {
    let keys: Vec<String> = handle.keys.iter().map(|key| key.fingerprint()).collect();
    format!("publisher  {}   {}", handle.label, keys.join(", "))
}

pub(crate) fn not_trusted(alias: &Name) -> CliError {
    CliError::new(
        Exit::Untrusted,
        "nobody was trusted",
        Hint::new(format!(
            "compare the fingerprint with one from another channel, then: skep trust add {alias}/PACKAGE"
        )),
    )
}

/// What `REPO/NAME` means: the repository, the handle, and the package if it is one.
async fn handle_of(
    what: &str,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<(Followed, Handle, Option<Name>)> {
    let reference: PackageRef = what.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(e.to_string(), Hint::new("skep trust add REPO/PACKAGE"))
    })?;
    let followed = Repos::of(&session.home).find(&reference.repo)?;
    let repo = repo(&followed.alias.to_string(), client).await?;
    let owner = repo
        .handles
        .iter()
        .find(|h| h.names.contains(&reference.name));
    if let Some(owner) = owner {
        return Ok((followed, owner.clone(), Some(reference.name)));
    }
    let labelled = repo.handles.iter().find(|h| h.label == reference.name);
    match labelled {
        Some(handle) => Ok((followed, handle.clone(), None)),
        None => Err(CliError::new(
            Exit::NotFound,
            format!(
                "`{}` has no package and no handle `{}`",
                followed.alias, reference.name
            ),
            Hint::new(format!("skep repo show {}", followed.alias)),
        )),
    }
}

async fn add(
    what: &str,
    names: Option<&str>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let (followed, handle, package) = handle_of(what, session, client).await?;
    let names = match (names, &package) {
        (Some(names), _) => names.to_owned(),
        (None, Some(package)) => package.to_string(),
        (None, None) => "*".to_owned(),
    };
    let glob: Glob = names.parse().map_err(|e: skep_proto::trust::file::Error| {
        CliError::usage(e.to_string(), Hint::new("--for '*', or --for NAME"))
    })?;
    session.ui.say(&publisher_line(&handle));
    let alias = &followed.alias;
    lookalike::warn(alias, package.as_ref(), session)?;
    let question = format!("trust this handle to publish {alias}/{names}?");
    if !session.ui.confirm(&question, false)? {
        return Err(not_trusted(alias));
    }
    believe(&followed, &glob, &handle, session, client).await?;
    session.ui.say_detail(
        "this includes what its keys become, and so the root keys of the repository, which may override them",
    );
    Ok(Report::answer("trust.add")
        .fact("for", format!("{alias}/{names}"))
        .fact("handle", handle.label.as_str())
        .fact("id", handle.id.to_string()))
}

/// Writes a rule, and has the node read it.
pub(crate) async fn believe(
    followed: &Followed,
    glob: &Glob,
    handle: &Handle,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let repos = Repos::of(&session.home);
    let _one = session.home.lock(session.ui).await?;
    // Another command may have changed it while this one asked.
    let followed = repos.find(&RepoRef::Id(followed.file.id))?;
    let says_it = |rule: &Rule| {
        let is_it = |who: &Who| matches!(who, Who::Handle { handle: id, .. } if *id == handle.id);
        rule.names == [glob.clone()] && rule.publishers.iter().any(is_it)
    };
    if !followed.file.trust.iter().any(says_it) {
        let names = std::slice::from_ref(glob);
        let text = append_rule(&followed.text, names, &handle.label, &handle.id)
            .map_err(|e| could_not("write a rule", &e))?;
        repos.edit(&followed.alias, &text)?;
    }
    client.ask(Request::Reload).await.map(|_| ())
}

/// Removes the rules for exactly a package; else, if it is the label of a handle, all that trust
/// that handle. A rule for more than the package is not removed for its sake.
async fn remove(what: &str, session: &Session<'_>, client: &mut Client) -> Result<Report> {
    let reference: PackageRef = what.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(e.to_string(), Hint::new("skep trust remove REPO/PACKAGE"))
    })?;
    let name = &reference.name;
    let followed = Repos::of(&session.home).find(&reference.repo)?;
    let alias = &followed.alias;
    let rules = &followed.file.trust;
    let exactly =
        |rule: &Rule| matches!(rule.names.as_slice(), [only] if only.as_str() == name.as_str());
    let labelled = |who: &Who| matches!(who, Who::Handle { label, .. } if label == name);
    let where_ = |fits: &dyn Fn(&Rule) -> bool| -> Vec<usize> {
        let rules = rules.iter().enumerate();
        rules
            .filter(|(_, rule)| fits(rule))
            .map(|(at, _)| at)
            .collect()
    };
    let mut removed = where_(&exactly);
    if removed.is_empty() {
        removed = where_(&|rule| rule.publishers.iter().any(labelled));
    }
    let wider = where_(&|rule| rule.covers(name));
    let wider = wider.iter().filter(|at| !removed.contains(at));
    let wider: Vec<&Rule> = wider.map(|at| &rules[*at]).collect();
    if removed.is_empty() {
        return Err(nothing_to_remove(&followed, name, &wider, session));
    }
    let text =
        remove_rules(&followed.text, &removed).map_err(|e| could_not("remove a rule", &e))?;
    Repos::of(&session.home).edit(alias, &text)?;
    client.ask(Request::Reload).await?;
    if let Some(rule) = wider.first() {
        session.ui.warn(&format!(
            "{alias}/{name} is still covered by the rule that trusts {} for {alias}/{}; to remove that: {}",
            labels(rule),
            rule.names_text(),
            to_remove(&followed, rule, session)
        ));
    }
    let removed = removed.iter().map(|at| &rules[*at]);
    let (names, who): (Vec<String>, Vec<String>) = removed
        .map(|rule| (format!("{alias}/{}", rule.names_text()), labels(rule)))
        .unzip();
    Ok(Report::answer("trust.remove")
        .fact("rules", names.len() as u64)
        .fact("for", names)
        .fact("handle", who.join(", ")))
}

fn nothing_to_remove(
    followed: &Followed,
    name: &Name,
    wider: &[&Rule],
    session: &Session<'_>,
) -> CliError {
    let alias = &followed.alias;
    let (message, hint) = match wider.first() {
        Some(rule) => (
            format!(
                "no rule is for `{alias}/{name}` alone: {} is trusted for {alias}/{}",
                labels(rule),
                rule.names_text()
            ),
            format!(
                "to remove that rule: {}",
                to_remove(followed, rule, session)
            ),
        ),
        None => (
            format!("no rule is for a package or a handle `{alias}/{name}`"),
            "skep trust".to_owned(),
        ),
    };
    CliError::new(Exit::NotFound, message, Hint::new(hint))
}

/// What to type so that a rule is gone.
fn to_remove(followed: &Followed, rule: &Rule, session: &Session<'_>) -> String {
    let alias = &followed.alias;
    let label = rule.publishers.iter().find_map(|who| match who {
        Who::Handle { label, .. } => Some(label),
        Who::Key { .. } => None,
    });
    match label {
        Some(label) => format!("skep trust remove {alias}/{label}"),
        None => {
            let file = session.home.repos_dir().join(format!("{alias}.toml"));
            format!("edit the file {}", quoted(&file))
        }
    }
}

/// Whom a rule trusts.
fn labels(rule: &Rule) -> String {
    let publishers = rule.publishers.iter().map(|who| match who {
        Who::Handle { label, .. } => label.to_string(),
        Who::Key { key } => key.clone(),
    });
    publishers.collect::<Vec<_>>().join(", ")
}

/// The rule for one name that `get TICKET` writes after a yes.
pub(crate) async fn believe_for(
    release: &Release,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let followed = Repos::of(&session.home).find(&RepoRef::Id(release.repo))?;
    let glob: Glob = parse_name(release.name.as_str())?
        .as_str()
        .parse()
        .map_err(|e| could_not("write a rule", &e))?;
    believe(&followed, &glob, &release.owner, session, client).await
}
