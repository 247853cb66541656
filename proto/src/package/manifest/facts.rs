//! What was read from the objects, and what an author adds to it where no object can say it.

use serde::{Deserialize, Serialize};

use super::predicate::lines;
use super::{Error, LIST_FILE_BYTES_MAX, check_path};
use crate::ebpf::{self, Endian};
use crate::json;

/// Longest initial key or value of a map, in bytes: hex in a payload of 36 KiB; larger ones are a
/// loader's matter.
pub(super) const VALUE_BYTES_MAX: usize = 1_024;
/// Most actions after which a chain goes on: XDP has five, TC nine.
pub(super) const ACTIONS_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    pub objects: Vec<Object>,
    pub programs: Vec<Program>,
    pub maps: Vec<Map>,
    /// Global variables that a user may set before loading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub globals: Vec<Global>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Path of the file.
    pub file: String,
    pub endian: Endian,
    /// What its `license` section says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    pub btf: bool,
    pub core_relocations: u64,
    /// Numbers of the BPF helpers that it calls (`enum bpf_func_id`).
    pub helpers: Vec<u32>,
    /// Kernel functions, variables and options that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub externs: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    /// Path of its object.
    pub object: String,
    pub section: String,
    /// The kernel's program type in lower case; absent where neither section nor author tells.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it attaches, as libbpf's section names call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// `enum bpf_attach_type` without its prefix, in lower case, where the hook fixes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_type: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sleepable: bool,
    /// Takes packets in several buffers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frags: bool,
    /// Loaders may leave it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Programs that share this word are ways to do one thing: one of them suffices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternative: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    pub instructions: u64,
}

/// How a program stands among others on one hook.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chain {
    /// The program array with which it calls the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// Smaller comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Results after which the next program runs, in lower case (`pass`, `dispatcher_return`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proceed_on: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    pub name: String,
    pub object: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub key_size: u32,
    pub value_size: u32,
    /// 0 where the loader decides.
    pub max_entries: u32,
    pub flags: u32,
    pub pinned: bool,
    /// `btf`, `legacy` or `data`: where its definition stands.
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What stands in it before the programs run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
}

/// A key and a value in hex, as they stand in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Global {
    pub name: String,
    /// Absent where every object has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// As C writes it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The bytes of a file of kind `facts`.
pub fn write_facts(facts: &Facts) -> Vec<u8> {
    serde_json::to_vec(facts).expect("strings, numbers and lists always serialize")
}

/// Reads a file of kind `facts`, as hostile.
pub fn read_facts(bytes: &[u8]) -> Result<Facts, Error> {
    if bytes.len() as u64 > LIST_FILE_BYTES_MAX {
        return Err(Error::TooLong { size: bytes.len() });
    }
    let json = json::parse(bytes)?;
    super::read::check_texts(&json)?;
    let facts: Facts =
        serde_json::from_value(json.into_serde()).map_err(|e| Error::Shape(e.to_string()))?;
    facts.check()?;
    Ok(facts)
}

impl Facts {
    /// Adds what an object says of itself.
    pub fn add(&mut self, file: &str, object: &ebpf::Object) {
        self.objects.push(Object {
            file: file.to_owned(),
            endian: object.endian,
            license: object.license.clone(),
            btf: object.has_btf,
            core_relocations: object.core_relocations as u64,
            helpers: object.helpers.clone(),
            externs: object.externs.clone(),
        });
        let programs = object.programs.iter();
        self.programs
            .extend(programs.map(|it| Program::of(file, it)));
        self.maps
            .extend(object.maps.iter().map(|it| Map::of(file, it)));
    }

    /// Whether the object at `file` does what these facts say and nothing else: the same programs,
    /// maps, BPF helpers, kernel functions, license and byte order. What authors add (a hook where
    /// the section tells none, a description) is theirs to say.
    pub(crate) fn check_object(&self, file: &str, object: &ebpf::Object) -> Result<(), Error> {
        let mut read = Self::default();
        read.add(file, object);
        let differs = |what: &str| Err(Error::OtherObject(file.to_owned(), what.to_owned()));
        if self
            .objects
            .iter()
            .filter(|it| it.file == file)
            .ne(&read.objects)
        {
            return differs("its license, byte order, BPF helpers or kernel functions");
        }
        let said = self.programs.iter().filter(|it| it.object == file);
        if said.clone().count() != read.programs.len() {
            return differs("the number of its programs");
        }
        if let Some((_, read)) = said
            .zip(&read.programs)
            .find(|(said, read)| !said.fits(read))
        {
            return differs(&format!("program `{}`", read.name));
        }
        let said = self.maps.iter().filter(|it| it.object == file);
        if said.clone().count() != read.maps.len() {
            return differs("the number of its maps");
        }
        match said.zip(&read.maps).find(|(said, read)| !said.fits(read)) {
            Some((_, read)) => differs(&format!("map `{}`", read.name)),
            None => Ok(()),
        }
    }

    /// Texts within their limits: they are shown to people.
    pub fn check(&self) -> Result<(), Error> {
        for object in &self.objects {
            check_path(&object.file)?;
            lines("objects", object.license.iter().chain(&object.externs))?;
        }
        self.programs.iter().try_for_each(Program::check)?;
        self.maps.iter().try_for_each(Map::check)?;
        for global in &self.globals {
            let texts = [
                &global.object,
                &global.kind,
                &global.default,
                &global.description,
            ];
            lines("globals", texts.into_iter().flatten().chain([&global.name]))?;
        }
        Ok(())
    }
}

impl Program {
    fn of(file: &str, program: &ebpf::Program) -> Self {
        let kind = program.kind.as_ref();
        Self {
            name: program.name.clone(),
            object: file.to_owned(),
            section: program.section.clone(),
            kind: kind.map(|kind| kind.program_type.to_string()),
            hook: kind.map(|kind| kind.hook.to_owned()),
            target: kind.and_then(|kind| kind.target.clone()),
            direction: kind.and_then(|kind| kind.direction).map(|d| d.to_string()),
            attach_type: kind.and_then(|kind| kind.attach_type).map(str::to_owned),
            sleepable: kind.is_some_and(|kind| kind.sleepable),
            frags: kind.is_some_and(|kind| kind.frags),
            optional: kind.is_some_and(|kind| !kind.autoload),
            alternative: None,
            chain: None,
            instructions: program.instructions as u64,
        }
    }

    fn fits(&self, read: &Self) -> bool {
        let same = |it: &Self| (it.name.clone(), it.section.clone(), it.instructions);
        let how = |it: &Self| (it.kind.clone(), it.sleepable, it.frags);
        // Where the section tells no type, whatever the author said stands for it.
        same(self) == same(read) && (read.kind.is_none() || how(self) == how(read))
    }

    fn check(&self) -> Result<(), Error> {
        check_path(&self.object)?;
        let texts = [
            &self.kind,
            &self.hook,
            &self.target,
            &self.attach_type,
            &self.alternative,
        ];
        let texts = texts.into_iter().flatten();
        lines("programs", texts.chain([&self.name, &self.section]))?;
        if let Some(direction) = &self.direction
            && let Err(why) = direction.parse::<ebpf::Direction>()
        {
            return Err(Error::Field("direction", why));
        }
        let Some(chain) = &self.chain else {
            return Ok(());
        };
        if chain.proceed_on.len() > ACTIONS_MAX {
            return Err(Error::Field(
                "proceed_on",
                format!("more than {ACTIONS_MAX}"),
            ));
        }
        lines("chain", chain.proceed_on.iter().chain(&chain.map))
    }
}

impl Map {
    fn of(file: &str, map: &ebpf::Map) -> Self {
        Self {
            name: map.name.clone(),
            object: file.to_owned(),
            kind: map.kind.to_string(),
            key_size: map.key_size,
            value_size: map.value_size,
            max_entries: map.max_entries,
            flags: map.flags,
            pinned: map.pinning != ebpf::Pinning::None,
            source: match map.source {
                ebpf::MapSource::Btf => "btf",
                ebpf::MapSource::Legacy => "legacy",
                ebpf::MapSource::Data => "data",
            }
            .to_owned(),
            description: None,
            values: Vec::new(),
        }
    }

    fn fits(&self, read: &Self) -> bool {
        let bare = Self {
            description: None,
            values: Vec::new(),
            ..self.clone()
        };
        bare == *read
    }

    fn check(&self) -> Result<(), Error> {
        check_path(&self.object)?;
        lines(
            "maps",
            [&self.name, &self.kind]
                .into_iter()
                .chain(&self.description),
        )?;
        if !matches!(self.source.as_str(), "btf" | "legacy" | "data") {
            let why = "expected `btf`, `legacy` or `data`".to_owned();
            return Err(Error::Field("source", why));
        }
        self.values.iter().try_for_each(Value::check)
    }
}

impl Value {
    pub(super) fn check(&self) -> Result<(), Error> {
        for text in [&self.key, &self.value] {
            let bytes = data_encoding::HEXLOWER.decode(text.as_bytes());
            if bytes.is_err() || text.len() > 2 * VALUE_BYTES_MAX {
                let why = format!("expected at most {VALUE_BYTES_MAX} bytes in lower-case hex");
                return Err(Error::Field("values", why));
            }
        }
        Ok(())
    }
}

impl Chain {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
