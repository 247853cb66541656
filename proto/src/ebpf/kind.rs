//! Names and numbers of the kernel: types of programs and maps, and what a section's name tells.

use std::fmt;

/// Byte order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    Little,
    Big,
}

impl Endian {
    /// The number that the first four bytes are; `None` for fewer.
    pub(super) fn u32(self, bytes: &[u8]) -> Option<u32> {
        let bytes = *bytes.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    /// The number that the first two bytes are.
    pub(super) fn u16(self, bytes: &[u8]) -> Option<u16> {
        let bytes = *bytes.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }
}

impl fmt::Display for Endian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Little => "little",
            Self::Big => "big",
        })
    }
}

/// A number of the kernel's that most people know by a name.
macro_rules! kernel_number {
    ($(#[$doc:meta])* $type:ident, $prefix:literal, [$($constant:ident $name:literal,)*]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $type(u32);

        impl $type {
            kernel_number!(@constants 0u32, $($constant)*);
            const NAMES: &[&str] = &[$($name),*];

            pub const fn from_number(number: u32) -> Self {
                Self(number)
            }

            pub const fn number(self) -> u32 {
                self.0
            }
        }

        /// The kernel's name in lower case; a newer number as
        #[doc = concat!("`", $prefix, "_NUMBER`.")]
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let name = usize::try_from(self.0).ok().and_then(|n| Self::NAMES.get(n));
                match name {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!($prefix, "_{}"), self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let known = Self::NAMES.iter().position(|name| *name == text);
                let numbered = || text.strip_prefix(concat!($prefix, "_"))?.parse().ok();
                known
                    .and_then(|number| u32::try_from(number).ok())
                    .or_else(numbered)
                    .map(Self)
                    .filter(|it| it.to_string() == text)
                    .ok_or_else(|| format!("`{}` is no {}", crate::text::harmless_line(text), $prefix))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
    (@constants $number:expr, $constant:ident $($rest:ident)*) => {
        pub const $constant: Self = Self($number);
        kernel_number!(@constants $number + 1, $($rest)*);
    };
    (@constants $number:expr,) => {};
}

kernel_number! {
    /// `enum bpf_prog_type`.
    ProgramType, "program_type", [
        UNSPEC "unspec",
        SOCKET_FILTER "socket_filter",
        KPROBE "kprobe",
        SCHED_CLS "sched_cls",
        SCHED_ACT "sched_act",
        TRACEPOINT "tracepoint",
        XDP "xdp",
        PERF_EVENT "perf_event",
        CGROUP_SKB "cgroup_skb",
        CGROUP_SOCK "cgroup_sock",
        LWT_IN "lwt_in",
        LWT_OUT "lwt_out",
        LWT_XMIT "lwt_xmit",
        SOCK_OPS "sock_ops",
        SK_SKB "sk_skb",
        CGROUP_DEVICE "cgroup_device",
        SK_MSG "sk_msg",
        RAW_TRACEPOINT "raw_tracepoint",
        CGROUP_SOCK_ADDR "cgroup_sock_addr",
        LWT_SEG6LOCAL "lwt_seg6local",
        LIRC_MODE2 "lirc_mode2",
        SK_REUSEPORT "sk_reuseport",
        FLOW_DISSECTOR "flow_dissector",
        CGROUP_SYSCTL "cgroup_sysctl",
        RAW_TRACEPOINT_WRITABLE "raw_tracepoint_writable",
        CGROUP_SOCKOPT "cgroup_sockopt",
        TRACING "tracing",
        STRUCT_OPS "struct_ops",
        EXT "ext",
        LSM "lsm",
        SK_LOOKUP "sk_lookup",
        SYSCALL "syscall",
        NETFILTER "netfilter",
    ]
}

kernel_number! {
    /// `enum bpf_map_type`.
    MapType, "map_type", [
        UNSPEC "unspec",
        HASH "hash",
        ARRAY "array",
        PROG_ARRAY "prog_array",
        PERF_EVENT_ARRAY "perf_event_array",
        PERCPU_HASH "percpu_hash",
        PERCPU_ARRAY "percpu_array",
        STACK_TRACE "stack_trace",
        CGROUP_ARRAY "cgroup_array",
        LRU_HASH "lru_hash",
        LRU_PERCPU_HASH "lru_percpu_hash",
        LPM_TRIE "lpm_trie",
        ARRAY_OF_MAPS "array_of_maps",
        HASH_OF_MAPS "hash_of_maps",
        DEVMAP "devmap",
        SOCKMAP "sockmap",
        CPUMAP "cpumap",
        XSKMAP "xskmap",
        SOCKHASH "sockhash",
        CGROUP_STORAGE "cgroup_storage",
        REUSEPORT_SOCKARRAY "reuseport_sockarray",
        PERCPU_CGROUP_STORAGE "percpu_cgroup_storage",
        QUEUE "queue",
        STACK "stack",
        SK_STORAGE "sk_storage",
        DEVMAP_HASH "devmap_hash",
        STRUCT_OPS "struct_ops",
        RINGBUF "ringbuf",
        INODE_STORAGE "inode_storage",
        TASK_STORAGE "task_storage",
        BLOOM_FILTER "bloom_filter",
        USER_RINGBUF "user_ringbuf",
        CGRP_STORAGE "cgrp_storage",
        ARENA "arena",
    ]
}

/// What a section's name tells about its programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub program_type: ProgramType,
    /// Where it attaches, under the one name that all aliases share (`tracepoint` for `tp`).
    pub hook: &'static str,
    /// Where the section's name tells it (`tcx/ingress`).
    pub direction: Option<Direction>,
    /// What stands after the hook: a function, a tracepoint, a path; `None` where nothing does.
    pub target: Option<String>,
    /// `enum bpf_attach_type` without its prefix, in lower case, where the hook fixes one.
    pub attach_type: Option<&'static str>,
    /// May sleep (`.s`).
    pub sleepable: bool,
    /// Takes packets in several buffers (`xdp.frags`).
    pub frags: bool,
    /// False for a section that begins with `?`: loaders leave it out unless told otherwise.
    pub autoload: bool,
}

/// Of packets, seen from the interface or the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Ingress,
    Egress,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

impl std::str::FromStr for Direction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ingress" => Ok(Self::Ingress),
            "egress" => Ok(Self::Egress),
            _ => Err("expected `ingress` or `egress`".to_owned()),
        }
    }
}

/// A line of the table: what the section begins with, whether a target may follow, what it is.
struct Rule(&'static str, bool, ProgramType, Option<&'static str>);

const TARGET: bool = true;
const EXACT: bool = false;

/// libbpf's section names and their aliases.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule("socket", EXACT, ProgramType::SOCKET_FILTER, None),
    Rule("sk_reuseport/migrate", EXACT, ProgramType::SK_REUSEPORT, Some("sk_reuseport_select_or_migrate")),
    Rule("sk_reuseport", EXACT, ProgramType::SK_REUSEPORT, Some("sk_reuseport_select")),
    Rule("kprobe", TARGET, ProgramType::KPROBE, None),
    Rule("kretprobe", TARGET, ProgramType::KPROBE, None),
    Rule("uprobe", TARGET, ProgramType::KPROBE, None),
    Rule("uprobe.s", TARGET, ProgramType::KPROBE, None),
    Rule("uretprobe", TARGET, ProgramType::KPROBE, None),
    Rule("uretprobe.s", TARGET, ProgramType::KPROBE, None),
    Rule("kprobe.multi", TARGET, ProgramType::KPROBE, Some("trace_kprobe_multi")),
    Rule("kretprobe.multi", TARGET, ProgramType::KPROBE, Some("trace_kprobe_multi")),
    Rule("kprobe.session", TARGET, ProgramType::KPROBE, Some("trace_kprobe_session")),
    Rule("uprobe.multi", TARGET, ProgramType::KPROBE, Some("trace_uprobe_multi")),
    Rule("uprobe.multi.s", TARGET, ProgramType::KPROBE, Some("trace_uprobe_multi")),
    Rule("uretprobe.multi", TARGET, ProgramType::KPROBE, Some("trace_uprobe_multi")),
    Rule("uretprobe.multi.s", TARGET, ProgramType::KPROBE, Some("trace_uprobe_multi")),
    Rule("uprobe.session", TARGET, ProgramType::KPROBE, Some("trace_uprobe_session")),
    Rule("uprobe.session.s", TARGET, ProgramType::KPROBE, Some("trace_uprobe_session")),
    Rule("ksyscall", TARGET, ProgramType::KPROBE, None),
    Rule("kretsyscall", TARGET, ProgramType::KPROBE, None),
    Rule("usdt", TARGET, ProgramType::KPROBE, None),
    Rule("usdt.s", TARGET, ProgramType::KPROBE, None),
    Rule("tc/ingress", EXACT, ProgramType::SCHED_CLS, Some("tcx_ingress")),
    Rule("tc/egress", EXACT, ProgramType::SCHED_CLS, Some("tcx_egress")),
    Rule("tcx/ingress", EXACT, ProgramType::SCHED_CLS, Some("tcx_ingress")),
    Rule("tcx/egress", EXACT, ProgramType::SCHED_CLS, Some("tcx_egress")),
    Rule("tc", EXACT, ProgramType::SCHED_CLS, None),
    Rule("classifier", EXACT, ProgramType::SCHED_CLS, None),
    Rule("action", EXACT, ProgramType::SCHED_ACT, None),
    Rule("netkit/primary", EXACT, ProgramType::SCHED_CLS, Some("netkit_primary")),
    Rule("netkit/peer", EXACT, ProgramType::SCHED_CLS, Some("netkit_peer")),
    Rule("tracepoint", TARGET, ProgramType::TRACEPOINT, None),
    Rule("tp", TARGET, ProgramType::TRACEPOINT, None),
    Rule("raw_tracepoint", TARGET, ProgramType::RAW_TRACEPOINT, None),
    Rule("raw_tp", TARGET, ProgramType::RAW_TRACEPOINT, None),
    Rule("raw_tracepoint.w", TARGET, ProgramType::RAW_TRACEPOINT_WRITABLE, None),
    Rule("raw_tp.w", TARGET, ProgramType::RAW_TRACEPOINT_WRITABLE, None),
    Rule("tp_btf", TARGET, ProgramType::TRACING, Some("trace_raw_tp")),
    Rule("fentry", TARGET, ProgramType::TRACING, Some("trace_fentry")),
    Rule("fmod_ret", TARGET, ProgramType::TRACING, Some("modify_return")),
    Rule("fexit", TARGET, ProgramType::TRACING, Some("trace_fexit")),
    Rule("fentry.s", TARGET, ProgramType::TRACING, Some("trace_fentry")),
    Rule("fmod_ret.s", TARGET, ProgramType::TRACING, Some("modify_return")),
    Rule("fexit.s", TARGET, ProgramType::TRACING, Some("trace_fexit")),
    Rule("freplace", TARGET, ProgramType::EXT, None),
    Rule("lsm", TARGET, ProgramType::LSM, Some("lsm_mac")),
    Rule("lsm.s", TARGET, ProgramType::LSM, Some("lsm_mac")),
    Rule("lsm_cgroup", TARGET, ProgramType::LSM, Some("lsm_cgroup")),
    Rule("iter", TARGET, ProgramType::TRACING, Some("trace_iter")),
    Rule("iter.s", TARGET, ProgramType::TRACING, Some("trace_iter")),
    Rule("syscall", EXACT, ProgramType::SYSCALL, None),
    Rule("xdp.frags/devmap", EXACT, ProgramType::XDP, Some("xdp_devmap")),
    Rule("xdp/devmap", EXACT, ProgramType::XDP, Some("xdp_devmap")),
    Rule("xdp.frags/cpumap", EXACT, ProgramType::XDP, Some("xdp_cpumap")),
    Rule("xdp/cpumap", EXACT, ProgramType::XDP, Some("xdp_cpumap")),
    Rule("xdp.frags", EXACT, ProgramType::XDP, Some("xdp")),
    Rule("xdp", EXACT, ProgramType::XDP, Some("xdp")),
    Rule("perf_event", EXACT, ProgramType::PERF_EVENT, None),
    Rule("lwt_in", EXACT, ProgramType::LWT_IN, None),
    Rule("lwt_out", EXACT, ProgramType::LWT_OUT, None),
    Rule("lwt_xmit", EXACT, ProgramType::LWT_XMIT, None),
    Rule("lwt_seg6local", EXACT, ProgramType::LWT_SEG6LOCAL, None),
    Rule("sockops", EXACT, ProgramType::SOCK_OPS, Some("cgroup_sock_ops")),
    Rule("sk_skb/stream_parser", EXACT, ProgramType::SK_SKB, Some("sk_skb_stream_parser")),
    Rule("sk_skb/stream_verdict", EXACT, ProgramType::SK_SKB, Some("sk_skb_stream_verdict")),
    Rule("sk_skb/verdict", EXACT, ProgramType::SK_SKB, Some("sk_skb_verdict")),
    Rule("sk_skb", EXACT, ProgramType::SK_SKB, None),
    Rule("sk_msg", EXACT, ProgramType::SK_MSG, Some("sk_msg_verdict")),
    Rule("lirc_mode2", EXACT, ProgramType::LIRC_MODE2, Some("lirc_mode2")),
    Rule("flow_dissector", EXACT, ProgramType::FLOW_DISSECTOR, Some("flow_dissector")),
    Rule("cgroup_skb/ingress", EXACT, ProgramType::CGROUP_SKB, Some("cgroup_inet_ingress")),
    Rule("cgroup_skb/egress", EXACT, ProgramType::CGROUP_SKB, Some("cgroup_inet_egress")),
    Rule("cgroup/skb", EXACT, ProgramType::CGROUP_SKB, None),
    Rule("cgroup/sock_create", EXACT, ProgramType::CGROUP_SOCK, Some("cgroup_inet_sock_create")),
    Rule("cgroup/sock_release", EXACT, ProgramType::CGROUP_SOCK, Some("cgroup_inet_sock_release")),
    Rule("cgroup/sock", EXACT, ProgramType::CGROUP_SOCK, Some("cgroup_inet_sock_create")),
    Rule("cgroup/post_bind4", EXACT, ProgramType::CGROUP_SOCK, Some("cgroup_inet4_post_bind")),
    Rule("cgroup/post_bind6", EXACT, ProgramType::CGROUP_SOCK, Some("cgroup_inet6_post_bind")),
    Rule("cgroup/bind4", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_inet4_bind")),
    Rule("cgroup/bind6", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_inet6_bind")),
    Rule("cgroup/connect4", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_inet4_connect")),
    Rule("cgroup/connect6", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_inet6_connect")),
    Rule("cgroup/connect_unix", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_unix_connect")),
    Rule("cgroup/sendmsg4", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_udp4_sendmsg")),
    Rule("cgroup/sendmsg6", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_udp6_sendmsg")),
    Rule("cgroup/sendmsg_unix", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_unix_sendmsg")),
    Rule("cgroup/recvmsg4", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_udp4_recvmsg")),
    Rule("cgroup/recvmsg6", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_udp6_recvmsg")),
    Rule("cgroup/recvmsg_unix", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_unix_recvmsg")),
    Rule("cgroup/getpeername4", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_inet4_getpeername")),
    Rule("cgroup/getpeername6", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_inet6_getpeername")),
    Rule("cgroup/getpeername_unix", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_unix_getpeername")),
    Rule("cgroup/getsockname4", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_inet4_getsockname")),
    Rule("cgroup/getsockname6", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_inet6_getsockname")),
    Rule("cgroup/getsockname_unix", EXACT, ProgramType::CGROUP_SOCK_ADDR, Some("cgroup_unix_getsockname")),
    Rule("cgroup/sysctl", EXACT, ProgramType::CGROUP_SYSCTL, Some("cgroup_sysctl")),
    Rule("cgroup/getsockopt", EXACT, ProgramType::CGROUP_SOCKOPT, Some("cgroup_getsockopt")),
    Rule("cgroup/setsockopt", EXACT, ProgramType::CGROUP_SOCKOPT, Some("cgroup_setsockopt")),
    Rule("cgroup/dev", EXACT, ProgramType::CGROUP_DEVICE, Some("cgroup_device")),
    Rule("struct_ops", TARGET, ProgramType::STRUCT_OPS, None),
    Rule("struct_ops.s", TARGET, ProgramType::STRUCT_OPS, None),
    Rule("sk_lookup", EXACT, ProgramType::SK_LOOKUP, Some("sk_lookup")),
    Rule("netfilter", EXACT, ProgramType::NETFILTER, Some("netfilter")),
];

/// What the name of a section tells, as libbpf 1.x reads it: a rule's text, or, where a target may
/// follow, the text, `/`, and the target. `xdp_ratelimiting` tells nothing.
pub fn kind_of_section(section: &str) -> Option<Kind> {
    let (name, autoload) = match section.strip_prefix('?') {
        Some(name) => (name, false),
        None => (section, true),
    };
    RULES.iter().find_map(|rule| {
        let rest = name.strip_prefix(rule.0)?;
        let target = match rest.strip_prefix('/') {
            Some(target) if rule.1 => (!target.is_empty()).then(|| target.to_owned()),
            _ if rest.is_empty() => None,
            _ => return None,
        };
        Some(Kind {
            program_type: rule.2,
            hook: rule.hook(),
            direction: rule
                .0
                .rsplit_once('/')
                .and_then(|(_, end)| end.parse().ok()),
            target,
            attach_type: rule.3,
            sleepable: rule.0.ends_with(".s"),
            frags: rule.0.starts_with("xdp.frags"),
            autoload,
        })
    })
}

impl Rule {
    /// The section's name without what only says how: `.s`, `.multi`, `/ingress`.
    fn hook(&self) -> &'static str {
        match self.0 {
            "tp" => "tracepoint",
            "raw_tp" | "raw_tp.w" => "raw_tracepoint",
            "classifier" => "tc",
            name if name.starts_with("cgroup/") => name,
            name => name.split(['/', '.']).next().unwrap_or(name),
        }
    }
}

/// The kind of a hook that a person named: by a section's name without a target, or by what
/// [`Kind::hook`] says.
pub fn kind_of_hook(hook: &str) -> Option<Kind> {
    let by_name = RULES.iter().find(|rule| rule.0 == hook);
    let rule = by_name.or_else(|| RULES.iter().find(|rule| rule.hook() == hook))?;
    let kind = kind_of_section(rule.0)?;
    Some(match by_name {
        Some(_) => kind,
        // One of several ways: which of them was not said.
        None => Kind {
            direction: None,
            attach_type: None,
            ..kind
        },
    })
}

/// Every name that [`Kind::hook`] can have.
pub fn hooks() -> impl Iterator<Item = &'static str> {
    let names: std::collections::BTreeSet<_> = RULES.iter().map(Rule::hook).collect();
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_tells_its_type_and_target() {
        let kind = kind_of_section("?uprobe.s//lib/libc.so:malloc").expect("known");
        assert_eq!(kind.program_type, ProgramType::KPROBE);
        assert_eq!(kind.target.as_deref(), Some("/lib/libc.so:malloc"));
        assert!(kind.sleepable && !kind.autoload);
        let kind = kind_of_section("xdp.frags/devmap").expect("known");
        assert_eq!(kind.attach_type, Some("xdp_devmap"));
        assert!(kind.frags && kind.autoload);
        let kind = kind_of_section("tp").expect("known");
        assert_eq!((kind.hook, kind.target), ("tracepoint", None));
        let kind = kind_of_section("tcx/egress").expect("known");
        assert_eq!(
            (kind.hook, kind.direction),
            ("tcx", Some(Direction::Egress))
        );
    }

    #[test]
    fn a_hook_is_found_by_every_name_it_has() {
        let direction = |hook| kind_of_hook(hook).expect("known").direction;
        assert_eq!(direction("tcx"), None);
        assert_eq!(direction("tcx/ingress"), Some(Direction::Ingress));
        for hook in hooks() {
            assert_eq!(kind_of_hook(hook).map(|kind| kind.hook), Some(hook));
        }
        assert_eq!(kind_of_hook("classifier").map(|kind| kind.hook), Some("tc"));
        assert_eq!(kind_of_hook("kprobe/do_unlinkat"), None);
        assert_eq!(kind_of_hook(""), None);
    }

    #[test]
    fn a_section_of_another_name_tells_nothing() {
        for name in [
            "xdp_ratelimiting",
            "xdp/x",
            "tc-ingress-root",
            ".text",
            "",
            "?",
            "kprobes/x",
        ] {
            assert_eq!(kind_of_section(name), None, "{name}");
        }
    }

    #[test]
    fn every_rule_finds_itself() {
        for rule in RULES {
            let found = kind_of_section(rule.0).expect("known");
            assert_eq!(
                (found.program_type, found.attach_type),
                (rule.2, rule.3),
                "{}",
                rule.0
            );
        }
    }

    #[test]
    fn kernel_numbers_have_one_spelling() {
        assert_eq!(ProgramType::NETFILTER.number(), 32);
        assert_eq!(MapType::ARENA.number(), 33);
        assert_eq!(MapType::from_number(99).to_string(), "map_type_99");
        assert_eq!("map_type_99".parse(), Ok(MapType::from_number(99)));
        assert_eq!("ringbuf".parse(), Ok(MapType::RINGBUF));
        for bad in ["map_type_1", "map_type_099", "map_type_+99", "Hash", ""] {
            assert!(bad.parse::<MapType>().is_err(), "{bad}");
        }
    }
}
