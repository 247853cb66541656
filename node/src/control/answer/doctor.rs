//! What `doctor` asks of a node.

use skep_proto::control::{Check, Response};

use super::Answers;

impl Answers {
    pub(super) fn doctor(&self) -> Response {
        let snapshot = self.node.snapshot();
        let mut checks = vec![match self.store.space() {
            Ok(space) => Check {
                ok: true,
                what: "store".to_owned(),
                text: format!("{} bytes used, {} free", space.used, space.free),
                hint: None,
            },
            Err(error) => Check {
                ok: false,
                what: "store".to_owned(),
                text: crate::in_words(&error),
                hint: Some(format!("ls -ld {}", self.config.store.display())),
            },
        }];
        if let Some(why) = &snapshot.read_only {
            checks.push(Check {
                ok: false,
                what: "store".to_owned(),
                text: format!("read-only: {why}"),
                hint: Some(format!("df -h {}", self.config.store.display())),
            });
        }
        for repo in snapshot.repos() {
            let line = repo.line();
            let packages = line.packages;
            let releases = line.releases;
            checks.push(Check {
                ok: line.state == "ok",
                what: "repository".to_owned(),
                text: format!(
                    "{}: {}; {packages} packages, {releases} releases",
                    repo.called(),
                    line.state
                ),
                hint: (line.state != "ok").then(|| format!("skep repo show {}", repo.called())),
            });
        }
        Response::Doctor { checks }
    }
}
