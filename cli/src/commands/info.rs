//! `skep info`: everything about a package and one release of it.

use skep_proto::control::{Request, Response};
use skep_proto::name::PackageRef;
use skep_proto::package::manifest::Manifest;

use super::Session;
use super::parse::parse_package;
use super::trust::{called, release};
use crate::args::info::Info;
use crate::client::{Client, unexpected};
use crate::error::Result;
use crate::report::{Report, Table, Value};

pub(crate) async fn run(args: &Info, session: &Session<'_>) -> Result<Report> {
    let parsed = parse_package(&args.reference, "info")?;
    let mut client = Client::connect(session).await?;
    let report = report(&parsed, &args.reference, &mut client).await;
    client.close().await;
    report
}

async fn report(parsed: &PackageRef, reference: &str, client: &mut Client) -> Result<Report> {
    let request = Request::Release {
        package: reference.to_owned(),
        normal: false,
        // Without a version, the one that would be chosen.
        allow_yanked: parsed.requirement.is_some(),
        accept_change: false,
    };
    let release = release(request, client).await?;
    let manifest = super::get::checked_manifest(&release)?.0;
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
    let details = &manifest.details;
    Ok(Report::answer("info")
        .fact("package", called(&release))
        .fact("version", release.version.to_string())
        .fact("description", details.description.as_str())
        .fact("license", details.license.as_str())
        .fact("publisher", release.owner.label.as_str())
        .fact("signed_by", signers)
        .fact("trusted", release.admitted)
        .fact("here", release.held)
        .fact(
            "source",
            details.source.as_ref().map(|source| source.url.clone()),
        )
        .fact(
            "kernel",
            details
                .kernel
                .as_ref()
                .and_then(|kernel| kernel.min.clone()),
        )
        .fact("manifest", release.manifest.to_string())
        .table("programs", programs(&manifest))
        .table("maps", maps(&manifest))
        .table("files", files(&manifest))
        .table("versions", versions))
}

fn programs(manifest: &Manifest) -> Table {
    let mut table = Table::new(&["program", "type", "hook", "section", "instructions"]);
    for program in manifest
        .details
        .facts
        .iter()
        .flat_map(|facts| &facts.programs)
    {
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

fn maps(manifest: &Manifest) -> Table {
    let mut table = Table::new(&["map", "type", "key", "value", "entries"]);
    for map in manifest.details.facts.iter().flat_map(|facts| &facts.maps) {
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

fn files(manifest: &Manifest) -> Table {
    let mut table = Table::new(&["file", "size", "blake3"]);
    for file in &manifest.files {
        table.push([
            file.path.as_str().into(),
            Value::Size(file.size),
            Value::Hash(format!("b3:{}", file.blake3)),
        ]);
    }
    table
}
