//! The service manager that started this process, if one did: it is told when the node is ready,
//! when it stops, and, if it watches, that the event loop turns. The protocol is `sd_notify(3)`: a
//! datagram of lines to the socket that `NOTIFY_SOCKET` names.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::environment::Environment;

/// Whoever started us; it may be nobody, who is told nothing.
pub(crate) struct Supervisor {
    socket: Option<UnixDatagram>,
    /// Without a sign of life for so long it ends us and starts another.
    patience: Option<Duration>,
}

impl Supervisor {
    /// The one of the environment. One that cannot be reached is logged and no reason to stop: it
    /// will say itself that it heard nothing.
    pub(crate) fn of(env: &Environment) -> Self {
        let socket = env.notify_socket.as_deref().and_then(|name| {
            let reached = connect(name);
            if let Err(error) = &reached {
                tracing::warn!(%error, socket = %name.display(), "the service manager cannot be told anything");
            }
            reached.ok()
        });
        // A process of ours that was started by another one must not speak for it.
        let is_us = env.watchdog_pid.is_none_or(|pid| pid == std::process::id());
        let patience = env.watchdog_us.filter(|us| is_us && *us > 0);
        Self {
            socket,
            patience: patience.map(Duration::from_micros),
        }
    }

    /// How often it wants a sign of life: twice in the time after which it gives us up.
    pub(crate) fn wants_life_every(&self) -> Option<Duration> {
        let told = self.socket.is_some();
        self.patience.filter(|_| told).map(|patience| patience / 2)
    }

    /// All answers: what waits for us may start.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// What is being done or waited for, for whoever asks it.
    pub(crate) fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", one_line(status)));
    }

    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, lines: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(lines.as_bytes()) {
            tracing::warn!(%error, "the service manager was not told `{}`", one_line(lines));
        }
    }
}

/// A line feed would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A path, or a name that no file has (`@…`).
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::other("neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // One that does not read is no reason for the node to wait.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        Environment::from(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).into())
        })
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).expect("told");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn it_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = format!("skep-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("short");
        for (socket, bound) in [
            (path.display().to_string(), UnixDatagram::bind(&path)),
            (format!("@{name}"), UnixDatagram::bind_addr(&abstract_name)),
        ] {
            let bound = bound.expect("bound");
            let supervisor = Supervisor::of(&env(&[("NOTIFY_SOCKET", &socket)]));
            supervisor.ready("all is\nwell");
            assert_eq!(heard(&bound), "READY=1\nSTATUS=all is well");
            supervisor.stopping();
            assert_eq!(heard(&bound), "STOPPING=1");
            assert_eq!(supervisor.wants_life_every(), None);
        }
    }

    #[test]
    fn one_that_is_not_there_changes_nothing() {
        for socket in ["", "relative", "vsock:2:1", "@", "/nobody/listens/here"] {
            let supervisor = Supervisor::of(&env(&[
                ("NOTIFY_SOCKET", socket),
                ("WATCHDOG_USEC", "1000000"),
            ]));
            supervisor.ready("nobody hears it");
            assert_eq!(supervisor.wants_life_every(), None, "{socket}");
        }
    }

    #[test]
    fn a_watchdog_is_ours_if_it_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let bound = UnixDatagram::bind(&path).expect("bound");
        let us = std::process::id().to_string();
        let every = |us: &str, pid: &str| {
            Supervisor::of(&env(&[
                ("NOTIFY_SOCKET", &path.display().to_string()),
                ("WATCHDOG_USEC", us),
                ("WATCHDOG_PID", pid),
            ]))
            .wants_life_every()
        };
        let half = Some(Duration::from_secs(15));
        assert_eq!(every("30000000", &us), half);
        assert_eq!(every("30000000", ""), half);
        assert_eq!(every("30000000", "1"), None);
        for none in ["0", "", "-1", "soon", "99999999999999999999999"] {
            assert_eq!(every(none, &us), None, "{none}");
        }
        drop(bound);
    }
}
