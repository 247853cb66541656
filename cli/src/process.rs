//! Other processes, as an error names them.

use std::fs;

/// How a socket is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// `process 812 (`l3afd --config x`)`, without the line where we may not read it.
pub(crate) fn called(pid: &str) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let line = line.trim_end();
    match line.is_empty() {
        true => format!("process {pid}"),
        false => format!("process {pid} (`{line}`)"),
    }
}

/// Who listens on a port, as far as this user may know.
pub(crate) fn listening_on(port: u16, transport: Transport) -> Option<String> {
    let tables = match transport {
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let inode = tables.iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        let mut lines = table.lines();
        lines.find_map(|line| inode_of(line, port, transport).map(str::to_owned))
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?;
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut pids = names.filter(|name| name.bytes().all(|c| c.is_ascii_digit()));
    let has_it = |pid: &String| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut files = files.into_iter().flatten().flatten();
        files.any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*socket))
    };
    pids.find(has_it).map(|pid| called(&pid))
}

/// The inode of the socket that a line of `/proc/net/*` describes, if it listens on this port.
fn inode_of(line: &str, port: u16, transport: Transport) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    // `TCP_LISTEN`; a UDP socket that is connected to nobody has the number of `TCP_CLOSE`.
    let listens = match transport {
        Transport::Tcp => "0A",
        Transport::Udp => "07",
    };
    let (_, hex) = local.rsplit_once(':')?;
    let is_it = *state == listens && u16::from_str_radix(hex, 16).ok()? == port;
    is_it.then_some(*inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_listens_is_found_and_nobody_else() {
        let us = std::process::id();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("bound").port();
        let found = listening_on(port, Transport::Tcp).expect("it is us");
        assert!(found.starts_with(&format!("process {us} (`")), "{found}");
        drop(tcp);
        let udp = std::net::UdpSocket::bind("[::1]:0").or(std::net::UdpSocket::bind("127.0.0.1:0"));
        let udp = udp.expect("a port");
        let port = udp.local_addr().expect("bound").port();
        let found = listening_on(port, Transport::Udp).expect("it is us");
        assert!(found.starts_with(&format!("process {us} (`")), "{found}");
    }

    #[test]
    fn lines_of_the_kernel_are_read_or_passed_over() {
        let line = "   0: 0100007F:1E15 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1077 1 0 100 0 0 10 0";
        assert_eq!(inode_of(line, 7701, Transport::Tcp), Some("1077"));
        assert_eq!(inode_of(line, 7702, Transport::Tcp), None);
        assert_eq!(inode_of(line, 7701, Transport::Udp), None);
        for other in [
            "",
            "  sl  local_address rem_address   st",
            "a b c d e f g h i j",
        ] {
            assert_eq!(inode_of(other, 7701, Transport::Tcp), None);
        }
    }
}
