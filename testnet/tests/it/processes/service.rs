//! The node as a service: the unit of `node/deploy`, and what a service manager is told.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::full_disk::skipped;
use super::home::{Home, PATIENCE, skep, wait_until};

/// Longer than any message of ours.
const MESSAGE_BYTES_MAX: usize = 4096;
/// What a unit may score at most: the scale ends at 10, and radicle's node has 9.2.
const EXPOSURE_MAX: f64 = 2.0;
/// How often the watchdog of the test wants to hear, in microseconds, twice over.
const WATCHDOG_US: &str = "400000";

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../node/deploy")
        .join(name)
}

fn unit() -> String {
    fs::read_to_string(deploy("skep.service")).expect("the unit")
}

/// Every value of a setting of the unit.
fn settings(name: &str) -> Vec<String> {
    let unit = unit();
    let lines = unit.lines();
    lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned)
        .collect()
}

/// The command that the unit starts, for this home.
fn command_of_the_unit(home: &Home) -> Command {
    let line = settings("ExecStart").pop().expect("a command");
    let here = home.path().display().to_string();
    let words: Vec<String> = line
        .split(' ')
        .map(|word| word.replace("/var/lib/skep", &here))
        .collect();
    assert_eq!(words[0], "/usr/bin/skep");
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let mut command = home.command(&words);
    // The unit says where the home is.
    command.env_remove("SKEP_HOME").stdout(Stdio::null());
    let log = fs::File::create(home.path().join("node.log")).expect("a log");
    command.stderr(log);
    command
}

/// A service manager, as far as a service sees one.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn of(home: &Home) -> Self {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("patience");
        Self { socket, path }
    }

    /// What it is told next.
    fn heard(&self) -> String {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let length = self.socket.recv(&mut bytes).expect("it is told something");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// Whether it was told anything that nobody has read yet.
    fn has_more(&self) -> bool {
        self.socket.set_nonblocking(true).expect("set");
        let more = self.socket.recv(&mut [0; MESSAGE_BYTES_MAX]).is_ok();
        self.socket.set_nonblocking(false).expect("set");
        more
    }
}

fn status_of(address: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("patience");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let head = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
    let code = head.strip_prefix("HTTP/1.1 ").and_then(|c| c.parse().ok());
    code.expect("a status")
}

/// A home with a release that its gateway would hand out.
fn with_a_release() -> Home {
    let home = Home::new(true);
    home.publish("0.1.0");
    home.ok(&["trust", "add", "ana/drop"]);
    home.configure(
        "listen = [\"127.0.0.1:0\"]\nmdns = false\n\
         [[gateway]]\nlisten = \"127.0.0.1:0\"\n",
    );
    home
}

#[test]
fn it_is_ready_when_l3afd_would_be_served_and_not_before() {
    let mut home = with_a_release();
    let manager = Manager::of(&home);
    let mut command = command_of_the_unit(&home);
    command.env("NOTIFY_SOCKET", &manager.path);
    home.node = Some(command.spawn().expect("a node starts"));
    let ready = manager.heard();
    let status = ready.strip_prefix("READY=1\nSTATUS=ready at http://");
    let status = status.expect("that it is ready, and where");
    let (address, mode) = status.split_once(' ').expect("with its mode");
    assert_eq!(mode, "(trusted mode)");
    // The first answers: l3afd asks once.
    let archive = "/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz";
    assert_eq!(status_of(address, archive), 200);
    assert_eq!(status_of(address, "/readyz"), 200);
    assert_eq!(status_of(address, "/healthz"), 200);
    assert!(!manager.has_more(), "said once");
    home.stop();
    assert_eq!(manager.heard(), "STOPPING=1");
    assert!(!manager.has_more());
}

#[test]
fn a_node_that_cannot_start_is_never_ready() {
    let mut home = with_a_release();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    home.configure(&format!(
        "listen = [\"127.0.0.1:0\"]\nmdns = false\ngateway = [{{ listen = \"{address}\" }}]\n"
    ));
    let manager = Manager::of(&home);
    let mut command = command_of_the_unit(&home);
    command.env("NOTIFY_SOCKET", &manager.path);
    home.node = Some(command.spawn().expect("it begins"));
    wait_until("it gives up", || !home.is_up());
    assert!(!manager.has_more());
}

#[test]
fn a_watchdog_hears_that_the_event_loop_turns() {
    let mut home = Home::new(true);
    let manager = Manager::of(&home);
    let mut command = command_of_the_unit(&home);
    command
        .env("NOTIFY_SOCKET", &manager.path)
        .env("WATCHDOG_USEC", WATCHDOG_US);
    home.node = Some(command.spawn().expect("a node starts"));
    assert_eq!(manager.heard(), "READY=1\nSTATUS=ready, without a gateway");
    for _ in 0..3 {
        assert_eq!(manager.heard(), "WATCHDOG=1");
    }
    // By signal, as a service manager does it.
    let node = home.node.as_ref().expect("it was started");
    let pid = rustix::process::Pid::from_child(node);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    wait_until("it says that it stops", || manager.heard() == "STOPPING=1");
    wait_until("it has stopped", || !home.is_up());
}

#[test]
fn a_node_may_stop_with_whoever_started_it() {
    let mut home = Home::new(true);
    let mut command = home.command(&["node", "run", "--with-stdin"]);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut node = command.spawn().expect("a node starts");
    let stdin = node.stdin.take().expect("a pipe");
    home.node = Some(node);
    home.ok(&["node", "status", "--wait", "30"]);
    assert!(home.is_up());
    drop(stdin);
    wait_until("it stops", || !home.is_up());
    home.fails(5, &["node", "status"]);
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_keeps_in() {
    // What other units and packagers rely on, whether systemd is here or not.
    assert_eq!(settings("Type"), ["notify"]);
    assert_eq!(settings("Before"), ["l3afd.service"]);
    assert_eq!(settings("StateDirectory"), ["skep"]);
    assert_eq!(settings("CapabilityBoundingSet"), [""]);
    assert_eq!(settings("ExecReload"), [""; 0], "it cannot");
    let user = settings("User").pop().expect("not root");
    let users = fs::read_to_string(deploy("skep.sysusers")).expect("its user");
    assert!(
        users
            .lines()
            .any(|line| line.starts_with(&format!("u {user} ")))
    );

    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("skep.service");
    let here = skep().display().to_string();
    fs::write(&copy, unit().replace("/usr/bin/skep", &here)).expect("written");
    let analyze = |args: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(args).arg(&copy).output().ok()
    };
    let Some(verified) = analyze(&["verify", "--man=no"]) else {
        skipped("what systemd says of the unit, because systemd-analyze is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success(), "{said}");
    assert_eq!(said, "");
    let scored = analyze(&["security", "--offline=true", "--no-pager"]).expect("it is there");
    let table = String::from_utf8_lossy(&scored.stdout);
    let score = table.split("exposure level for skep.service: ").nth(1);
    let score = score.and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let score = score.expect("a score");
    assert!(score <= EXPOSURE_MAX, "{score}");
}

/// Every system call of a set of systemd's, with those of the sets in it.
fn of_set(set: &str, into: &mut BTreeSet<String>) {
    let listed = Command::new("systemd-analyze")
        .args(["syscall-filter", "--no-pager", set])
        .output()
        .expect("it is there");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for line in listed.lines().filter(|line| line.starts_with("    ")) {
        match line.trim() {
            comment if comment.starts_with('#') => {}
            inner if inner.starts_with('@') => of_set(inner, into),
            call => drop(into.insert(call.to_owned())),
        }
    }
}

#[test]
fn the_unit_allows_every_system_call_that_a_node_makes() {
    let have = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !have("strace") || !have("systemd-analyze") {
        skipped("system calls of a service, because strace or systemd-analyze is not installed");
        return;
    }
    let mut allowed = BTreeSet::new();
    for line in settings("SystemCallFilter") {
        let (sets, denied) = match line.strip_prefix('~') {
            Some(sets) => (sets.to_owned(), true),
            None => (line, false),
        };
        let mut calls = BTreeSet::new();
        sets.split(' ').for_each(|set| of_set(set, &mut calls));
        match denied {
            true => allowed.retain(|call| !calls.contains(call)),
            false => allowed.append(&mut calls),
        }
    }
    assert!(allowed.contains("read") && !allowed.contains("mount"));

    let author = super::home::author(true);
    let mut home = Home::new(true);
    home.ok(&["repo", "add", &author.ticket(), "--trust"]);
    home.configure(
        "listen = [\"127.0.0.1:0\"]\nmdns = false\n\
         [[gateway]]\nlisten = \"127.0.0.1:0\"\n",
    );
    let trace = home.path().join("trace");
    let plain = command_of_the_unit(&home);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&trace)
        .arg(plain.get_program())
        .args(plain.get_args())
        // It would outlive strace, if that is killed.
        .arg("--with-stdin")
        .env("SKEP_PASSPHRASE", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    home.node = Some(command.spawn().expect("it starts"));
    home.ok(&["node", "status", "--wait", "40"]);
    wait_until("the release is here", || {
        home.ok(&["info", "ana/drop", "--json"])
            .contains("\"here\":true")
    });
    home.stop();
    let trace = fs::read_to_string(trace).expect("a trace");
    // `PID call(arguments…) = result`; a call that another thread interrupts is named at its start.
    let made: BTreeSet<&str> = trace
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.split_once('('))
        .map(|(call, _)| call)
        .collect();
    assert!(
        made.contains("accept4") && made.contains("fsync"),
        "{made:?}"
    );
    // The service manager starts the program before the filter is there.
    let refused = made
        .iter()
        .filter(|call| !allowed.contains(**call) && **call != "execve");
    assert_eq!(
        refused.collect::<Vec<_>>(),
        [""; 0].iter().collect::<Vec<_>>()
    );
}
