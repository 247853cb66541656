//! The files of a release, one by one: verified, admitted, and never a page of ours.

use super::super::Door;
use super::super::answer::{self, Ready, put};
use super::super::refusals::Refused;
use super::frame::piece;
use super::package::{Found, find};
use super::{error, failed, missing, send};
use crate::release;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;

pub(super) const ROUTE: &str = "/p/{repo}/{name}/{version}/files/{*path}";
/// Of everything that is not an image that browsers draw without running anything.
const BYTES: &str = "application/octet-stream";

/// Address of a file, from the address of its release's page.
pub(super) fn link(here: &str, path: &str) -> String {
    let pieces: Vec<String> = path.split('/').map(piece).collect();
    format!("{here}/files/{}", pieces.join("/"))
}

/// What a file is, if it may stand in a page: a picture without a program in it.
pub(super) fn image_type(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        _ => None,
    }
}

pub(super) async fn file(
    State(door): State<Door>,
    Path((repo, name, version, path)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let finding = door.clone();
    let found = tokio::task::spawn_blocking(move || {
        let found = find(&finding, &repo, &name, Some(&version))?;
        let ready = ready(&finding, &found, &path)?;
        let file = path.rsplit('/').next().unwrap_or(&path).to_owned();
        Ok((ready, file))
    });
    let found = found.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a file could not be looked for");
        Err(failed("this node could not look for the file"))
    });
    match found {
        Ok((ready, name)) => {
            let mut response = answer::archive(ready, &method, &headers, door.mode);
            send::protect(&mut response);
            let disposition = format!("attachment; filename*=UTF-8''{}", piece(&name));
            put(&mut response, header::CONTENT_DISPOSITION, &disposition);
            put(&mut response, header::CACHE_CONTROL, "no-cache");
            response
        }
        Err(refused) => error::answer(&refused, &door, &headers),
    }
}

/// A file of a release that is here and admitted, open and verified.
fn ready(door: &Door, found: &Found, path: &str) -> Result<Ready, Refused> {
    let doors = &door.doors;
    let Found { repo, resolved } = found;
    let subject = &resolved.subject;
    let what = format!("{}/{}@{}", repo.called(), subject.name, subject.version);
    if !resolved.decision.admitted {
        return Err(Refused {
            status: StatusCode::FORBIDDEN,
            why: format!("{what} is not admitted: this node does not hand out its files"),
            hint: format!("skep verify --explain {what}"),
        });
    }
    let known = release::checked_files(repo, doors.store.as_ref(), subject);
    let known = known.map_err(|e| failed(&crate::in_words(&e)))?;
    let file = known.into_iter().find(|file| file.path == path);
    let file = file.ok_or_else(|| missing(format!("{what} has no such file"), ""))?;
    let open = doors.blobs.open(doors.store.as_ref(), &file.blake3);
    let open = open.map_err(|_| Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        why: format!("this file of {what} is not on this node"),
        hint: format!("skep get {what}"),
    })?;
    let archive = doors.archives.of_file(file.blake3, file.size);
    let archive = archive.ok_or_else(|| failed("too much is being sent at present"))?;
    let mut files = answer::Files::new(doors);
    files.keep(file.blake3, open.file);
    Ok(Ready {
        archive,
        files,
        media_type: image_type(path).unwrap_or(BYTES),
    })
}
