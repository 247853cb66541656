//! The gateway of a real node among clients that mean no good: what each gets is in a table, nothing of
//! the node grows, and whoever asks properly is served all the while.

mod requests;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::{self, AT_ONCE};
use super::home::{Home, PATIENCE, wait_until};

const PATH: &str = "/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz";
/// Requests are tried by so many at a time.
const TRIED_AT_A_TIME: usize = 4;
/// What a node may have needed at its peak when all was tried, and how many descriptors may be
/// opened for the store's own purposes meanwhile.
const PEAK_MIB_MAX: u64 = 128;
const DESCRIPTORS_SLACK: usize = 16;
/// As in the gateway: time for a head, time for a chunk of an answer, connections at a time.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
const STALL_WITHIN: Duration = Duration::from_secs(30);
const CONNECTIONS_MAX: usize = 512;
/// Clocks of two processes on a busy machine.
const SOON: Duration = Duration::from_secs(5);
/// More than the system keeps of an answer for a client that does not read.
const HEAVY_BYTES: usize = 24 << 20;

/// A node with a gateway and a release, and what it had when it was started.
struct Site {
    home: Home,
    address: String,
    descriptors: usize,
}

impl Site {
    fn new(weight: usize) -> Self {
        let mut home = Home::new(true);
        let package = home.heavy_package("0.1.0", weight);
        home.ok(&["publish", &package]);
        home.ok(&["trust", "add", "ana/drop"]);
        let address = client::with_gateway(&mut home);
        assert_eq!(client::get(&address, PATH).status, 200);
        let mut site = Self {
            home,
            address,
            descriptors: 0,
        };
        site.descriptors = site.open_descriptors();
        site
    }

    fn proc(&self, what: &str) -> String {
        let pid = self.home.node.as_ref().expect("a node runs").id();
        format!("/proc/{pid}/{what}")
    }

    fn open_descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd"))
            .expect("of our child")
            .count()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the gateway listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream
    }

    /// Runs something while a client that asks properly does so again and again.
    fn with_an_ordinary_client(&self, abuse: impl FnOnce()) {
        let over = AtomicBool::new(false);
        let expected = client::get(&self.address, PATH).body;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut times = 0;
                while !over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let answer = client::get(&self.address, PATH);
                    assert_eq!(answer.status, 200);
                    assert!(answer.body == expected, "the bytes of the archive");
                    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
                    times += 1;
                }
                times
            });
            // The client is stopped too when the other one fails.
            let over = Over(&over);
            abuse();
            drop(over);
            let times: usize = asking.join().expect("it was served");
            assert!(times > 0);
        });
    }

    /// What was opened was closed again, and memory did not grow beyond all measure.
    fn left_as_before(mut self) {
        let max = self.descriptors + DESCRIPTORS_SLACK;
        wait_until("descriptors come back", || self.open_descriptors() <= max);
        let status = std::fs::read_to_string(self.proc("status")).expect("of our child");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.trim().parse::<u64>().ok())
            .expect("a peak");
        assert!(peak <= PEAK_MIB_MAX << 10, "{peak} KiB");
        assert!(self.home.is_up());
        self.home.stop();
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The statuses of what is answered until the connection is closed.
fn answered(mut stream: TcpStream, request: &[u8]) -> Result<Vec<u16>, String> {
    stream.set_read_timeout(Some(AT_ONCE)).expect("a time-out");
    stream.set_write_timeout(Some(AT_ONCE)).expect("a time-out");
    let mut all = Vec::new();
    // A server that has heard enough closes before all of it was said.
    let said = stream.write_all(request);
    let broken =
        |e: &std::io::Error| matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    match (said, stream.read_to_end(&mut all)) {
        (Err(e), _) if !broken(&e) => return Err(format!("it does not read: {e}")),
        (_, Err(e)) if !broken(&e) => return Err(format!("it is not closed: {e}")),
        _ => {}
    }
    let head_only = request.starts_with(b"HEAD ");
    let mut statuses = Vec::new();
    let mut rest = all.as_slice();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or("an answer without an end of its head")?;
        let head = std::str::from_utf8(&rest[..end]).map_err(|e| e.to_string())?;
        let status = head.strip_prefix("HTTP/1.").and_then(|head| head.get(2..5));
        let status = status.and_then(|status| status.parse().ok());
        statuses.push(status.ok_or("an answer without a status")?);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then_some(value)
        });
        let length: usize = match head_only {
            true => 0,
            false => length.and_then(|text| text.parse().ok()).unwrap_or(0),
        };
        rest = rest.get(end + 4 + length..).ok_or("an answer cut short")?;
    }
    Ok(statuses)
}

#[test]
fn every_abusive_request_is_answered_as_the_table_says() {
    let site = Site::new(0);
    let cases = requests::all();
    assert!(cases.len() >= 75, "{}", cases.len());
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "each is another one");
    site.with_an_ordinary_client(|| {
        let wrong: Vec<String> = std::thread::scope(|scope| {
            let parts = cases.chunks(cases.len().div_ceil(TRIED_AT_A_TIME));
            let trying = parts.map(|part| {
                let site = &site;
                scope.spawn(move || {
                    let tried = part.iter().filter_map(|case| {
                        let found = answered(site.connect(), &case.bytes);
                        let name = case.name.escape_debug();
                        (found.as_deref() != Ok(case.answered))
                            .then(|| format!("{name}: {found:?}, not {:?}", case.answered))
                    });
                    tried.collect::<Vec<String>>()
                })
            });
            let trying: Vec<_> = trying.collect();
            let tried = trying.into_iter().map(|one| one.join().expect("tried"));
            tried.flatten().collect()
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
    site.left_as_before();
}

/// How long the node leaves a connection open on which nothing comes of what it waits for.
fn let_go_after(mut stream: TcpStream, mut go_on: impl FnMut(&mut TcpStream) -> bool) -> Duration {
    let begun = Instant::now();
    while go_on(&mut stream) {}
    begun.elapsed()
}

/// Says a little each second, until that fails.
fn drip(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a time-out");
    let said = stream.write_all(b"X-A: b\r\n");
    let over = matches!(stream.read(&mut [0]), Ok(0)) || said.is_err();
    !over
}

/// Waits for the end.
fn wait(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1_024]), Ok(1..))
}

#[test]
fn who_is_slow_is_let_go_in_time() {
    let site = Site::new(HEAVY_BYTES);
    let begin = |text: &str| {
        let mut stream = site.connect();
        stream.write_all(text.as_bytes()).expect("said");
        stream
    };
    let archive = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n");
    std::thread::scope(|scope| {
        let mut tried = Vec::new();
        let mut try_it =
            |what: &'static str, within: Duration, stream, go_on: fn(&mut TcpStream) -> bool| {
                tried.push((
                    what,
                    within,
                    scope.spawn(move || let_go_after(stream, go_on)),
                ));
            };
        try_it("silence", HEAD_WITHIN, site.connect(), wait);
        try_it(
            "half a head",
            HEAD_WITHIN,
            begin("GET / HTTP/1.1\r\nHo"),
            wait,
        );
        try_it(
            "a head by drops",
            HEAD_WITHIN,
            begin("GET / HTTP/1.1\r\n"),
            drip,
        );
        let idle = begin("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        try_it("silence after an answer", HEAD_WITHIN, idle, wait);
        let half = begin("GET / HTTP/1.1\r\nHost: x\r\n");
        half.shutdown(Shutdown::Write).expect("shut");
        try_it("half a head and the end", Duration::ZERO, half, wait);
        let reads_nothing: fn(&mut TcpStream) -> bool = |stream| {
            std::thread::sleep(Duration::from_millis(100));
            // The end of the connection is behind what was not read; an error of it is not.
            stream.take_error().expect("asked").is_none() && is_open(stream)
        };
        try_it("no reading", STALL_WITHIN, begin(&archive), reads_nothing);
        let reads_drops: fn(&mut TcpStream) -> bool = |stream| {
            std::thread::sleep(Duration::from_millis(250));
            matches!(stream.read(&mut [0; 256]), Ok(1..)) && is_open(stream)
        };
        try_it(
            "reading by drops",
            STALL_WITHIN,
            begin(&archive),
            reads_drops,
        );
        let wrong = tried.into_iter().filter_map(|(what, within, trying)| {
            let took = trying.join().expect("tried");
            // At the limit it is still there, soon past it no more.
            let early = took + Duration::from_secs(1) < within;
            (early || took > within + SOON).then(|| format!("{what}: {took:?}, not {within:?}"))
        });
        let wrong: Vec<String> = wrong.collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
    site.left_as_before();
}

/// Whether the other end holds this connection, as the system's table of them says.
fn is_open(stream: &TcpStream) -> bool {
    let ours = stream.local_addr().expect("an address").port();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table");
    let established = format!(":{ours:04X}");
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(2);
        let (remote, state) = (fields.next(), fields.next());
        remote.is_some_and(|remote| remote.ends_with(&established)) && state == Some("01")
    })
}

#[test]
fn more_connections_than_places_make_the_quietest_go() {
    let site = Site::new(0);
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| site.connect()).collect();
    let held = |idle: &[TcpStream]| idle.iter().filter(|stream| is_quiet(stream)).count();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(held(&idle), CONNECTIONS_MAX, "each has its place");
    // Whoever comes then is served, in the place of one that says nothing.
    assert_eq!(client::get(&site.address, PATH).status, 200);
    wait_until("one has gone", || held(&idle) == CONNECTIONS_MAX - 1);
    site.with_an_ordinary_client(|| {
        for _ in 0..CONNECTIONS_MAX {
            idle.push(site.connect());
        }
        for _ in 0..200 {
            // Opened and broken off at once, before or after a word.
            let mut stream = site.connect();
            drop(stream.write_all(b"GET / HT"));
        }
    });
    drop(idle);
    site.left_as_before();
}

/// Whether a connection is there, with nothing to be read.
fn is_quiet(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("set");
    let peeked = stream.peek(&mut [0]);
    matches!(peeked, Err(e) if e.kind() == ErrorKind::WouldBlock)
}

#[test]
fn many_who_read_slowly_cost_little() {
    let site = Site::new(HEAVY_BYTES);
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n");
    site.with_an_ordinary_client(|| {
        let slow: Vec<TcpStream> = (0..200)
            .map(|_| {
                let mut stream = site.connect();
                stream.write_all(request.as_bytes()).expect("asked");
                stream
            })
            .collect();
        for mut stream in &slow {
            let mut some = [0; 1_024];
            let n = stream.read(&mut some).expect("an answer");
            assert!(some[..n].starts_with(b"HTTP/1.1 200 OK"));
        }
    });
    site.left_as_before();
}
