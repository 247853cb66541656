//! `skep info`: everything about a package and one release of it.

use skep_proto::control::{Release, Request, Response};
use skep_proto::id::RepoId;
use skep_proto::name::{Name, PackageRef};
use skep_proto::package::manifest::{Facts, File, Manifest, Requires};

use super::Session;
use super::parse::parse_package;
use super::release::{called, checked_manifest, release};
use crate::args::info::Info;
use crate::client::{Client, unexpected};
use crate::error::Result;
use crate::report::{Report, Table, Value};

pub(crate) async fn run(args: &Info, session: &Session<'_>) -> Result<Report> {
    let parsed = parse_package(&args.reference, "info")?;
    let mut client = Client::looking(session).await?;
    let report = report(&parsed, &args.reference, session, &mut client).await;
    client.close().await;
    report
}

async fn report(
    parsed: &PackageRef,
    reference: &str,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let request = Request::Release {
        package: reference.to_owned(),
        normal: false,
        // As `get` asks: what it refuses is not said to be trusted.
        allow_yanked: false,
        accept_change: false,
    };
    let release = release(request, client).await?;
    let manifest = checked_manifest(&release)?.0;
    let request = Request::Packages {
        repo: parsed.repo.to_string(),
    };
    let packages = match client.ask(request).await? {
        Response::Packages { packages } => packages,
        other => return Err(unexpected(&other)),
    };
    let package = packages
        .into_iter()
        .find(|package| package.name == release.name);
    let mut versions = Table::new(&["version", "state", "yanked", "deprecated", "suspended"]);
    for line in package
        .iter()
        .flat_map(|package| package.releases.iter().rev())
    {
        versions.push([
            line.version.to_string().into(),
            line.state.as_str().into(),
            line.yanked.into(),
            line.deprecated.into(),
            line.suspended.into(),
        ]);
    }
    let signers: Vec<String> = release
        .signers
        .iter()
        .map(|key| key.fingerprint())
        .collect();
    let (listed, facts) = super::contents::known_here(&manifest, client).await?;
    if listed.is_none() || facts.is_none() {
        session.ui.say(
            "a list of this release is not here: what it has more is shown when it was fetched",
        );
    }
    let details = &manifest.details;
    let source = details.source.as_ref();
    let kernel = details.kernel.clone().unwrap_or_default();
    let user = details.user.as_ref();
    let requires: Vec<String> = details.requires.iter().map(required).collect();
    Ok(Report::answer("info")
        .fact("package", called(&release))
        .fact("version", release.version.to_string())
        .fact("state", state(&release))
        .fact("description", details.description.as_str())
        .fact("license", details.license.as_str())
        .fact("publisher", release.owner.label.as_str())
        .fact("signed_by", signers)
        .fact("trusted", release.admitted)
        .fact("here", release.held)
        .fact("source", source.map(|source| source.url.clone()))
        .fact("commit", source.and_then(|source| source.commit.clone()))
        .fact("documentation", details.documentation.clone())
        .fact("homepage", details.homepage.clone())
        .fact("authors", details.authors.clone())
        .fact("keywords", details.keywords.clone())
        .fact("platform", details.platform.as_str())
        .fact("kernel", kernel.min)
        .fact("kernels_tested", kernel.tested)
        .fact("kernel_config", kernel.config)
        .fact("capabilities", kernel.capabilities)
        .fact("user_program", user.map(|user| user.file.clone()))
        .fact("user_needs", user.map(|user| user.needs.clone()))
        .fact("requires", requires)
        .fact("manifest", release.manifest.to_string())
        .table("said", said(&release))
        .table("programs", programs(facts.as_ref()))
        .table("maps", maps(facts.as_ref()))
        .table("files", files(listed.as_ref().unwrap_or(&manifest.files)))
        .table("unknown", unknown(&manifest))
        .table("versions", versions))
}

/// What may be done with a release, and what was said against it.
fn state(release: &Release) -> String {
    let line = &release.line;
    let words = [
        (line.yanked, "yanked"),
        (line.deprecated, "deprecated"),
        (line.suspended, "suspended"),
    ];
    let said = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word);
    let mut state = vec![line.state.as_str()];
    state.extend(said);
    state.join(", ")
}

fn required(requires: &Requires) -> String {
    let one = |repo: &RepoId, name: &Name, version: &str| format!("{repo}/{name}@{version}");
    let first = one(&requires.repo, &requires.name, &requires.version);
    let others = requires
        .alternatives
        .iter()
        .map(|other| one(&other.repo, &other.name, &other.version));
    std::iter::once(first)
        .chain(others)
        .collect::<Vec<_>>()
        .join(" or ")
}

/// Why it is yanked, deprecated or suspended, and what to use instead.
fn said(release: &Release) -> Table {
    let mut table = Table::new(&["said", "of", "because", "use_instead", "when", "by"]);
    for said in &release.said {
        let of = match said.whole_package {
            true => "the package",
            false => "this version",
        };
        table.push([
            said.state.as_str().into(),
            of.into(),
            said.reason.as_str().into(),
            said.successor.as_ref().map(ToString::to_string).into(),
            Value::Time(i64::try_from(said.claimed_at).unwrap_or(i64::MAX)),
            said.by.fingerprint().into(),
        ]);
    }
    table
}

fn programs(facts: Option<&Facts>) -> Table {
    let mut table = Table::new(&["program", "type", "hook", "section", "instructions"]);
    for program in facts.iter().flat_map(|facts| &facts.programs) {
        table.push([
            program.name.as_str().into(),
            program.kind.clone().into(),
            program.hook.clone().into(),
            program.section.as_str().into(),
            program.instructions.into(),
        ]);
    }
    table
}

fn maps(facts: Option<&Facts>) -> Table {
    let mut table = Table::new(&["map", "type", "key", "value", "entries"]);
    for map in facts.iter().flat_map(|facts| &facts.maps) {
        table.push([
            map.name.as_str().into(),
            map.kind.as_str().into(),
            u64::from(map.key_size).into(),
            u64::from(map.value_size).into(),
            u64::from(map.max_entries).into(),
        ]);
    }
    table
}

fn files(files: &[File]) -> Table {
    let mut table = Table::new(&["file", "size", "blake3"]);
    for file in files {
        table.push([
            file.path.as_str().into(),
            Value::Size(file.size),
            Value::Hash(format!("b3:{}", file.blake3)),
        ]);
    }
    table
}

/// What the manifest says that this version does not know: shown as it stands.
fn unknown(manifest: &Manifest) -> Table {
    let mut table = Table::new(&["unknown_field", "value"]);
    for (place, value) in &manifest.unknown {
        table.push([
            place.as_str().into(),
            value.clone().into_serde().to_string().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use skep_proto::json::Json;
    use skep_proto::package::manifest::Details;

    use super::*;

    #[test]
    fn what_this_version_does_not_know_is_shown_as_it_stands() {
        let list = Json::Array(vec![Json::Integer(3), Json::Text("\u{1b}[2J".to_owned())]);
        let fields = [
            ("kernel.moon", Json::Text("full".to_owned())),
            ("tides", list),
        ];
        let fields = fields.map(|(place, value)| (place.to_owned(), value));
        let manifest = Manifest {
            repo: RepoId::from_hash(skep_proto::hash::Sha256::of(&[])),
            name: "drop".parse().expect("a name"),
            version: "1.0.0".parse().expect("a version"),
            details: Details::default(),
            files: Vec::new(),
            unknown: fields.into_iter().collect(),
        };
        let report = Report::answer("info").table("unknown", unknown(&manifest));
        assert_eq!(
            crate::report::text::render(&report, crate::report::text::Reader::Pipe),
            "unknown\tkernel.moon\t\"full\"\nunknown\ttides\t[3,\"\\u001b[2J\"]\n"
        );
    }
}
