//! Requests that nobody means well with, and what is answered to each: status by status, until the
//! connection is closed. Nothing means that it is closed without a word.

pub(super) struct Case {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) answered: &'static [u16],
}

/// An archive that there is.
const DROP: &str = "/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz";
/// Longest target (`TARGET_BYTES_MAX` of the gateway), and most header lines (`HEADERS_MAX`).
const TARGET_BYTES_MAX: usize = 4_096;
const HEADERS_MAX: usize = 64;
/// Longest head (`HEAD_BYTES_MAX`).
const HEAD_BYTES_MAX: usize = 16 << 10;

fn raw(name: &str, bytes: impl Into<Vec<u8>>, answered: &'static [u16]) -> Case {
    Case {
        name: name.to_owned(),
        bytes: bytes.into(),
        answered,
    }
}

/// A request that ends its connection, with more header lines.
fn request(method: &str, target: &str, lines: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n")
}

/// The same, of a target that is bytes.
fn bytes(target: &[u8]) -> Vec<u8> {
    let mut all = b"GET ".to_vec();
    all.extend_from_slice(target);
    all.extend_from_slice(b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    all
}

pub(super) fn all() -> Vec<Case> {
    let mut all = Vec::new();
    all.extend(targets());
    all.extend(control_bytes());
    all.extend(forms());
    all.extend(lengths());
    all.extend(ranges());
    all.extend(framing());
    all.extend(protocols());
    all.extend(methods());
    all.extend(several());
    all
}

/// Ways out of the tree, in every writing.
fn targets() -> impl Iterator<Item = Case> {
    [
        ("/../../../../etc/passwd", &[404][..]),
        ("/l3afd/../../etc/passwd", &[404]),
        ("/l3afd/ana/drop/../../../../etc/passwd", &[404]),
        (
            "/l3afd/ana/drop/0.1.0/jammy/../../../../../etc/passwd",
            &[404],
        ),
        ("/%2e%2e/%2e%2e/etc/passwd", &[404]),
        ("/%2e%2e%2f%2e%2e%2fetc%2fpasswd", &[404]),
        ("/%252e%252e%252fetc%252fpasswd", &[404]),
        (
            "/l3afd/ana/drop/0.1.0/jammy/%252e%252e%252fx.tar.gz",
            &[404],
        ),
        ("/l3afd/ana/drop/0.1.0/jammy/..%2f..%2fdrop.tar.gz", &[404]),
        ("/l3afd/ana/drop/0.1.0/jammy/..%5c..%5cdrop.tar.gz", &[404]),
        ("/l3afd/ana/drop/0.1.0/jammy/%2fetc%2fpasswd", &[404]),
        ("/l3afd/ana/..%2fdrop/0.1.0/jammy/drop.tar.gz", &[404]),
        ("/l3afd/%2e%2e/drop/0.1.0/jammy/drop.tar.gz", &[404]),
        ("/l3afd/ana/drop/%2e%2e/jammy/drop.tar.gz", &[404]),
        // Two bytes for a dot, which UTF-8 forbids; then dots of other scripts.
        ("/l3afd/ana/%c0%ae%c0%ae/0.1.0/jammy/drop.tar.gz", &[400]),
        (
            "/l3afd/ana/%ef%bc%8e%ef%bc%8e/0.1.0/jammy/drop.tar.gz",
            &[404],
        ),
        ("/l3afd/ana/%e2%80%ae/0.1.0/jammy/drop.tar.gz", &[404]),
        ("/l3afd/ana/drop/0.1.0/jammy/%ff.tar.gz", &[400]),
        ("/l3afd/ana/drop/0.1.0/jammy/%zz.tar.gz", &[404]),
        ("/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz%", &[404]),
        ("/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz%00.html", &[404]),
        (
            "/l3afd/ana/drop/0.1.0/jammy/drop%0d%0aX-A:%20b.tar.gz",
            &[404],
        ),
        ("/l3afd/ana/drop/0.1.0/%1b%5b31m/drop.tar.gz", &[404]),
        ("/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz/", &[404]),
        ("/l3afd/ana/drop/0.1.0/jammy/;/drop.tar.gz", &[404]),
        ("//etc/passwd", &[404]),
        ("//l3afd/ana/drop/0.1.0/jammy/drop.tar.gz", &[404]),
        ("/l3afd//ana/drop/0.1.0/jammy/drop.tar.gz", &[404]),
        ("/./l3afd/ana/drop/0.1.0/jammy/drop.tar.gz", &[404]),
        ("/L3AFD/ana/drop/0.1.0/jammy/drop.tar.gz", &[404]),
        (
            "/l3afd/ana/drop/99999999999999999999999.0.0/jammy/drop.tar.gz",
            &[404],
        ),
        // No word of the platform is part of a path on the disk.
        ("/l3afd/ana/drop/0.1.0/%2e%2e/drop.tar.gz", &[200]),
        (
            "/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz?a=../../etc/passwd",
            &[200],
        ),
        ("/\\..\\..\\etc\\passwd", &[404]),
    ]
    .into_iter()
    .map(|(target, answered)| raw(target, request("GET", target, ""), answered))
}

fn control_bytes() -> impl Iterator<Item = Case> {
    [
        ("NUL in a target", bytes(b"/healthz\0"), &[400][..]),
        ("SOH in a target", bytes(b"/\x01"), &[400]),
        ("DEL in a target", bytes(b"/\x7f"), &[400]),
        ("a tab in a target", bytes(b"/\thealthz"), &[400]),
        ("a space in a target", bytes(b"/a b"), &[400]),
        (
            "a carriage return in a target",
            bytes(b"/\rhealthz"),
            &[400],
        ),
        (
            "bytes that are no UTF-8 in a target",
            bytes(b"/\xff\xfe"),
            &[400],
        ),
        (
            "NUL in a value",
            request("GET", "/healthz", "X-A: a\0b\r\n").into(),
            &[400],
        ),
        (
            "ESC in a value",
            request("GET", "/healthz", "X-A: \x1b[2J\r\n").into(),
            &[400],
        ),
        (
            "a bare CR in a value",
            request("GET", "/healthz", "X-A: a\rb\r\n").into(),
            &[400],
        ),
        (
            "NUL in a name",
            request("GET", "/healthz", "X\0A: b\r\n").into(),
            &[400],
        ),
        (
            "a name with a space",
            request("GET", "/healthz", "X A: b\r\n").into(),
            &[400],
        ),
        (
            "a space before the colon",
            request("GET", "/healthz", "X-A : b\r\n").into(),
            &[400],
        ),
        (
            "no colon",
            request("GET", "/healthz", "X-A\r\n").into(),
            &[400],
        ),
        (
            "no name",
            request("GET", "/healthz", ": b\r\n").into(),
            &[400],
        ),
        (
            "a folded line",
            request("GET", "/healthz", "X-A: a\r\n b\r\n").into(),
            &[400],
        ),
        ("only NULs", vec![0; 4_096], &[400]),
        ("only line ends", b"\r\n".repeat(20_000), &[431]),
    ]
    .into_iter()
    .map(|(name, bytes, answered)| raw(name, bytes, answered))
}

/// Forms of a target that are for proxies.
fn forms() -> impl Iterator<Item = Case> {
    [
        // What RFC 9112 §3.2.2 wants of every server: by its path.
        ("http://x/healthz", &[200][..]),
        ("http://evil.example/healthz", &[200]),
        ("http://evil.example/../etc/passwd", &[404]),
        ("http://user:word@x/healthz", &[200]),
        ("https://x/healthz", &[200]),
        ("file:///etc/passwd", &[400]),
        ("http://", &[400]),
        ("http://[::1/healthz", &[400]),
        ("healthz", &[404]),
        ("x:80", &[404]),
        ("*", &[404]),
        ("?", &[400]),
    ]
    .into_iter()
    .map(|(target, answered)| raw(target, request("GET", target, ""), answered))
}

fn lengths() -> impl Iterator<Item = Case> {
    let target = |len: usize| request("GET", &format!("/{}", "a".repeat(len - 1)), "");
    // Two are there already.
    let lines = |count: usize| request("GET", "/healthz", &"X-A: b\r\n".repeat(count - 2));
    let head = |len: usize| {
        let empty = request("GET", "/healthz", "X-A: \r\n").len();
        let value = "a".repeat(len - empty);
        request("GET", "/healthz", &format!("X-A: {value}\r\n"))
    };
    [
        ("the longest target", target(TARGET_BYTES_MAX), &[404][..]),
        ("a target one longer", target(TARGET_BYTES_MAX + 1), &[414]),
        ("a target of a mebibyte", target(1 << 20), &[431]),
        ("the most header lines", lines(HEADERS_MAX), &[200]),
        ("one header line more", lines(HEADERS_MAX + 1), &[431]),
        ("thousands of header lines", lines(100_000), &[431]),
        ("the longest head", head(HEAD_BYTES_MAX - 1), &[200]),
        ("a head too long", head(HEAD_BYTES_MAX + 1), &[431]),
        ("a head of a mebibyte", head(1 << 20), &[431]),
        (
            "a name of 8 KiB",
            request(
                "GET",
                "/healthz",
                &format!("{}: b\r\n", "a".repeat(8 << 10)),
            ),
            &[200],
        ),
        (
            "a method of 10 KiB",
            request(&"A".repeat(10 << 10), "/healthz", ""),
            &[405],
        ),
    ]
    .into_iter()
    .map(|(name, text, answered)| raw(name, text, answered))
}

fn ranges() -> impl Iterator<Item = Case> {
    let thousands: Vec<String> = (0..1_500).map(|n| format!("{n}-{n}")).collect();
    let thousands = format!("bytes={}", thousands.join(","));
    [
        ("bytes=0-0,0-0", &[200][..]),
        ("bytes=0-99,50-149,0-", &[200]),
        (&thousands, &[200]),
        ("bytes=-1", &[206]),
        ("bytes=0-18446744073709551615", &[206]),
        ("bytes=0-18446744073709551616", &[206]),
        ("bytes=-18446744073709551616", &[206]),
        ("bytes=18446744073709551615-", &[416]),
        ("bytes=99999999999999999999999999-", &[416]),
        ("bytes=-0", &[416]),
        ("bytes=9-8", &[200]),
        ("bytes=--1", &[200]),
        ("bytes=-1-2", &[200]),
        ("bytes=a-b", &[200]),
        ("bytes=0x0-0x9", &[200]),
        ("bytes=", &[200]),
        ("bytes", &[200]),
        ("furlongs=0-1", &[200]),
        ("bytes=0-9\r\nRange: bytes=20-29", &[200]),
        ("bytes=0-9\r\nIf-Range: \"another\"", &[200]),
        ("\u{e9}", &[200]),
    ]
    .map(|(range, answered)| {
        let name: String = format!("Range: {range}").chars().take(60).collect();
        raw(
            &name,
            request("GET", DROP, &format!("Range: {range}\r\n")),
            answered,
        )
    })
    .into_iter()
}

/// Where a request ends, and another one could be made to begin.
fn framing() -> impl Iterator<Item = Case> {
    // Were it taken for a request, there would be a second answer.
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let open = |lines: &str, content: &str| {
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{lines}\r\n{content}")
    };
    let len = smuggled.len();
    [
        (
            "a length and chunks",
            open(
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "chunks and a length",
            open(
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "two lengths that differ",
            open("Content-Length: 0\r\nContent-Length: 4\r\n", "abcd"),
        ),
        (
            "two lengths in one line",
            open("Content-Length: 4, 5\r\n", "abcd"),
        ),
        (
            "the same length twice",
            open("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd"),
        ),
        (
            "a request as the content",
            open(&format!("Content-Length: {len}\r\n"), smuggled),
        ),
        (
            "a request in a chunk",
            open(
                "Transfer-Encoding: chunked\r\n",
                &format!("{len:x}\r\n{smuggled}\r\n0\r\n\r\n"),
            ),
        ),
        (
            "a request after the last chunk",
            open(
                "Transfer-Encoding: chunked\r\n",
                &format!("0\r\n\r\n{smuggled}"),
            ),
        ),
        (
            "a chunk of a negative length",
            open("Transfer-Encoding: chunked\r\n", "-1\r\n\r\n"),
        ),
        (
            "a chunk that is endless",
            open("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\nabc"),
        ),
        ("a negative length", open("Content-Length: -1\r\n", "")),
        (
            "a length with a sign",
            open("Content-Length: +4\r\n", "abcd"),
        ),
        ("a length in hex", open("Content-Length: 0x4\r\n", "abcd")),
        (
            "a length beyond any number",
            open("Content-Length: 18446744073709551616\r\n", ""),
        ),
        (
            "content that never comes",
            open("Content-Length: 1000000000\r\n", ""),
        ),
        (
            "chunks twice",
            open("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "chunks of gzip",
            open("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "no chunks but gzip",
            open("Transfer-Encoding: gzip\r\n", ""),
        ),
        (
            "a coding nobody has",
            open("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ),
        (
            "a coding hidden by a space",
            open("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "a coding in a folded line",
            open("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        ),
        ("no host", "GET /healthz HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", open("Host: y\r\n", "")),
    ]
    .into_iter()
    .map(|(name, text)| raw(name, text, &[400]))
    .chain([
        raw(
            "to expect something",
            open("Expect: 100-continue\r\n", ""),
            &[417],
        ),
        raw(
            "to expect content",
            open("Expect: 100-continue\r\nContent-Length: 4\r\n", ""),
            &[400],
        ),
        // A recipient may (RFC 9112 §2.2); there is no proxy that could see it otherwise.
        raw(
            "bare line feeds",
            "GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n",
            &[200],
        ),
        raw(
            "an empty line before",
            format!("\r\n{}", request("GET", "/healthz", "")),
            &[200],
        ),
        raw(
            "a space before",
            format!(" {}", request("GET", "/healthz", "")),
            &[400],
        ),
        raw(
            "an empty host",
            "GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
            &[200],
        ),
        raw(
            "no host, as of old",
            "GET /healthz HTTP/1.0\r\n\r\n",
            &[200],
        ),
    ])
}

/// What speaks something else.
fn protocols() -> impl Iterator<Item = Case> {
    // The beginning of a ClientHello of TLS 1.3.
    let mut tls = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    tls.resize(517, 7);
    [
        raw("HTTP/0.9", "GET /\r\n", &[400]),
        raw("HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", &[400]),
        raw("HTTP/9.9", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", &[400]),
        raw("HTTP/2 at once", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
        raw("HTTPS/1.1", "GET / HTTPS/1.1\r\nHost: x\r\n\r\n", &[400]),
        raw("TLS", tls, &[400]),
        raw("SSH", "SSH-2.0-OpenSSH_9.2\r\n", &[400]),
        raw("SOCKS", b"\x05\x01\x00".to_vec(), &[400]),
        raw("a greeting of mail", "EHLO x\r\n", &[400]),
        raw("an answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &[400]),
        raw("two spaces", "GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
        raw("HTTP/2 by upgrade", request("GET", "/healthz", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), &[200]),
        raw("a WebSocket", request("GET", "/healthz", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), &[200]),
    ]
    .into_iter()
}

fn methods() -> impl Iterator<Item = Case> {
    let others = [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW", "get", "PRI",
    ];
    let others = others
        .into_iter()
        .map(|method| raw(method, request(method, "/healthz", ""), &[405]));
    let heads = [
        ("/healthz", &[200][..]),
        ("/readyz", &[200]),
        (DROP, &[200]),
        ("/l3afd/ana/drop/9.9.9/jammy/drop.tar.gz", &[404]),
        ("/../etc/passwd", &[404]),
    ];
    let heads = heads.into_iter().map(|(target, answered)| {
        raw(
            &format!("HEAD {target}"),
            request("HEAD", target, ""),
            answered,
        )
    });
    others.chain(heads).chain([
        raw(
            "CONNECT",
            "CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
            &[405],
        ),
        raw("OPTIONS of everything", request("OPTIONS", "*", ""), &[405]),
        raw("a method with brackets", request("GE(T)", "/", ""), &[400]),
    ])
}

/// Several requests at once: each is answered, in order, until one ends the connection.
fn several() -> impl Iterator<Item = Case> {
    let one = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = request("GET", "/readyz", "");
    [
        raw(
            "three at once",
            format!("{one}{one}{last}"),
            &[200, 200, 200],
        ),
        raw("one after the last", format!("{last}{one}"), &[200]),
        raw("nonsense after the last", format!("{last}\0\0\0\0"), &[200]),
        raw("nonsense after one", format!("{one}\0\0\0\0"), &[200, 400]),
        raw(
            "one with content between",
            format!("{one}POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc{last}"),
            &[200, 405],
        ),
    ]
    .into_iter()
}
