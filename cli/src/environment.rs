//! The environment, read once at start and passed down; nothing else reads it, except clap for the
//! twins of flags and `anstream` for colour.

use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// What the environment says besides the twins of the flags. A variable that is set but empty
/// counts as not set, except `SKEP_PASSPHRASE`.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_DATA_HOME`, if absolute.
    pub(crate) data_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, if absolute.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `TMPDIR`, if absolute.
    pub(crate) temporary_dir: Option<PathBuf>,
    /// `USER`, else `LOGNAME`: the default name of a key and alias of a repository.
    pub(crate) login: Option<String>,
    /// `SKEP_PASSPHRASE`; empty means that there is none.
    pub(crate) passphrase: Option<Zeroizing<String>>,
    /// `SKEP_LOG`: targets and levels of a node's log.
    pub(crate) log: Option<String>,
    /// `SKEP_LOG_FORMAT`: `json`, or for people.
    pub(crate) log_format: Option<String>,
    /// `NOTIFY_SOCKET`: where a service manager is told how the node is.
    pub(crate) notify_socket: Option<OsString>,
    /// `WATCHDOG_USEC`: after how many microseconds without a sign of life it gives us up.
    pub(crate) watchdog_us: Option<u64>,
    /// `WATCHDOG_PID`: whose signs of life it wants.
    pub(crate) watchdog_pid: Option<u32>,
    /// `SKEP_FAULT_POINT`: where a crash test ends this process.
    pub(crate) fault_point: Option<String>,
    /// Where the administrator's configuration lies.
    pub(crate) etc: PathBuf,
}

/// Variables that are not twins of flags, with what they do, for `skep help environment`.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    (
        "SKEP_PASSPHRASE",
        "passphrase of your keys; set but empty: none",
    ),
    (
        "XDG_DATA_HOME",
        "the home is $XDG_DATA_HOME/skep if --home is not given",
    ),
    (
        "XDG_RUNTIME_DIR",
        "where the socket goes if the home's path is too long for one",
    ),
    (
        "USER, LOGNAME",
        "the default name of a new key and repository",
    ),
    ("SKEP_LOG", "what a node logs, such as `skep_node=debug`"),
    ("SKEP_LOG_FORMAT", "`json`: a node logs JSON"),
    (
        "NOTIFY_SOCKET",
        "a node tells a service manager there when it is ready and when it stops",
    ),
    (
        "WATCHDOG_USEC",
        "how often it wants to know there that the event loop turns",
    ),
    ("NO_COLOR", "no colour, if not empty"),
    (
        "CLICOLOR_FORCE",
        "colour on a pipe too, unless NO_COLOR is set",
    ),
];

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        Self::from(|name| std::env::var_os(name))
    }

    /// Reads an environment given as a function.
    pub(crate) fn from(var: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let absolute = |name: &str| set(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        Self {
            home: absolute("HOME"),
            data_home: absolute("XDG_DATA_HOME"),
            runtime_dir: absolute("XDG_RUNTIME_DIR"),
            temporary_dir: absolute("TMPDIR"),
            login: text("USER").or_else(|| text("LOGNAME")),
            passphrase: var("SKEP_PASSPHRASE")
                .and_then(|value| value.into_string().ok())
                .map(Zeroizing::new),
            log: text("SKEP_LOG"),
            log_format: text("SKEP_LOG_FORMAT"),
            notify_socket: set("NOTIFY_SOCKET"),
            watchdog_us: text("WATCHDOG_USEC").and_then(|us| us.parse().ok()),
            watchdog_pid: text("WATCHDOG_PID").and_then(|pid| pid.parse().ok()),
            fault_point: text("SKEP_FAULT_POINT"),
            etc: PathBuf::from("/etc/skep"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;

    fn read(pairs: &'static [(&str, &str)]) -> Environment {
        Environment::from(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn empty_is_unset_but_for_the_passphrase() {
        let env = read(&[
            ("HOME", ""),
            ("USER", ""),
            ("LOGNAME", "ana"),
            ("SKEP_PASSPHRASE", ""),
        ]);
        assert_eq!(env.home, None);
        assert_eq!(env.login.as_deref(), Some("ana"));
        assert_eq!(env.passphrase.map(|p| p.to_string()).as_deref(), Some(""));
        assert!(read(&[]).passphrase.is_none());
    }

    #[test]
    fn relative_folders_do_not_count() {
        let env = read(&[("XDG_DATA_HOME", "data"), ("HOME", "/home/ana")]);
        assert_eq!(env.data_home, None);
        assert_eq!(env.home.as_deref(), Some("/home/ana".as_ref()));
    }
}
