//! The payload that is posted to l3afd: which programs a host runs on which interface.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Longest payload that is read, in bytes: a program takes about a kilobyte, and a host runs tens.
pub const PAYLOAD_BYTES_MAX: u64 = 1 << 20;
/// Most programs that are looked at: a report is for a person.
pub const PROGRAMS_MAX: usize = 256;
/// Most hosts: l3afd takes one, its own, on so many interfaces; each is a line or two of a report.
pub const HOSTS_MAX: usize = 256;

/// What is to run on one interface of one host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Host {
    #[serde(default, deserialize_with = "or_nothing")]
    pub host_name: String,
    #[serde(default, deserialize_with = "or_nothing")]
    pub iface: String,
    #[serde(default, deserialize_with = "or_nothing")]
    pub bpf_programs: Programs,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Programs {
    #[serde(
        default,
        deserialize_with = "or_nothing",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub xdp_ingress: Vec<Program>,
    #[serde(
        default,
        deserialize_with = "or_nothing",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tc_ingress: Vec<Program>,
    #[serde(
        default,
        deserialize_with = "or_nothing",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tc_egress: Vec<Program>,
    #[serde(
        default,
        deserialize_with = "or_nothing",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub probes: Vec<Program>,
}

/// The lists of a payload, which l3afd keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    XdpIngress,
    TcIngress,
    TcEgress,
    Probes,
}

/// Defines [`Program`] so that every field is read alike: what is absent or null is nothing.
macro_rules! program {
    ($($(#[doc = $doc:literal])* $field:ident: $type:ty,)+) => {
        /// One program, in l3afd's own words.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        pub struct Program {
            $(
                $(#[doc = $doc])*
                #[serde(
                    default,
                    deserialize_with = "or_nothing",
                    skip_serializing_if = "is_nothing"
                )]
                pub $field: $type,
            )+
        }

        /// Every field that l3afd knows.
        pub const FIELDS: &[&str] = &[$(stringify!($field)),+];
    };
}

program! {
    id: i64,
    /// Of the package: the first component behind the repository's URL.
    name: String,
    /// Place in the chain of its list.
    seq_id: i64,
    artifact: String,
    /// The program array with which it calls the next one.
    map_name: String,
    cmd_start: String,
    cmd_stop: String,
    cmd_status: String,
    cmd_config: String,
    cmd_update: String,
    version: String,
    user_program_daemon: bool,
    is_plugin: bool,
    cpu: i64,
    memory: i64,
    admin_status: String,
    prog_type: String,
    rules_file: String,
    rules: String,
    config_file_path: String,
    cfg_version: i64,
    start_args: Map<String, Value>,
    stop_args: Map<String, Value>,
    status_args: Map<String, Value>,
    update_args: Map<String, Value>,
    map_args: Vec<MapArgs>,
    config_args: Map<String, Value>,
    monitor_maps: Vec<MonitorMap>,
    ebpf_package_repo_url: String,
    object_file: String,
    entry_function_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MapArgs {
    #[serde(default, deserialize_with = "or_nothing")]
    pub name: String,
    #[serde(default, deserialize_with = "or_nothing")]
    pub args: Vec<KeyValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyValue {
    #[serde(default)]
    pub key: i64,
    #[serde(default)]
    pub value: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MonitorMap {
    #[serde(default, deserialize_with = "or_nothing")]
    pub name: String,
    #[serde(default)]
    pub key: i64,
    #[serde(default, deserialize_with = "or_nothing")]
    pub aggregator: String,
}

/// Why l3afd could not read a payload, or would read nothing in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a payload of {size} bytes, where at most {PAYLOAD_BYTES_MAX} are read")]
    TooLong { size: usize },
    #[error("not a list of hosts as l3afd reads it")]
    Shape(#[source] serde_json::Error),
    #[error("{count} programs, where at most {PROGRAMS_MAX} are looked at")]
    TooMany { count: usize },
    #[error("{count} hosts, where at most {HOSTS_MAX} are looked at")]
    TooManyHosts { count: usize },
}

/// Reads a payload, as hostile.
///
/// # Errors
/// It is too long, or not what l3afd can read.
pub fn read(bytes: &[u8]) -> Result<Vec<Host>, Error> {
    if bytes.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(Error::TooLong { size: bytes.len() });
    }
    let hosts: Vec<Host> = serde_json::from_slice(bytes).map_err(Error::Shape)?;
    if hosts.len() > HOSTS_MAX {
        return Err(Error::TooManyHosts { count: hosts.len() });
    }
    let count = hosts
        .iter()
        .map(|host| host.bpf_programs.all().count())
        .sum();
    match count > PROGRAMS_MAX {
        true => Err(Error::TooMany { count }),
        false => Ok(hosts),
    }
}

/// The text of a payload, to be posted.
pub fn write(hosts: &[Host]) -> String {
    serde_json::to_string_pretty(hosts).expect("strings and numbers always serialize")
}

impl List {
    pub const ALL: [Self; 4] = [
        Self::XdpIngress,
        Self::TcIngress,
        Self::TcEgress,
        Self::Probes,
    ];

    /// Its field in the payload.
    pub fn field(self) -> &'static str {
        match self {
            Self::XdpIngress => "xdp_ingress",
            Self::TcIngress => "tc_ingress",
            Self::TcEgress => "tc_egress",
            Self::Probes => "probes",
        }
    }
}

impl Programs {
    pub fn list(&self, list: List) -> &[Program] {
        match list {
            List::XdpIngress => &self.xdp_ingress,
            List::TcIngress => &self.tc_ingress,
            List::TcEgress => &self.tc_egress,
            List::Probes => &self.probes,
        }
    }

    /// Every program with the list in which it stands.
    pub fn all(&self) -> impl Iterator<Item = (List, &Program)> {
        let lists = List::ALL.into_iter();
        lists.flat_map(|list| self.list(list).iter().map(move |program| (list, program)))
    }

    pub(super) fn push(&mut self, list: List, program: Program) {
        match list {
            List::XdpIngress => self.xdp_ingress.push(program),
            List::TcIngress => self.tc_ingress.push(program),
            List::TcEgress => self.tc_egress.push(program),
            List::Probes => self.probes.push(program),
        }
    }
}

/// What is null is nothing, as for l3afd.
fn or_nothing<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

fn is_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
