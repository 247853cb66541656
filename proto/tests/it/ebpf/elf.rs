//! Writes little-endian ELF files with as many of each thing as a test wants.

/// `sh_flags` of code.
pub(crate) const CODE: u64 = 6;

#[derive(Default)]
pub(crate) struct Elf {
    sections: Vec<(String, u64, Vec<u8>)>,
    symbols: Vec<u8>,
    names: Vec<u8>,
}

impl Elf {
    pub(crate) fn new() -> Self {
        let mut elf = Self::default();
        elf.names.push(0);
        elf.symbols.extend([0; 24]);
        elf
    }

    /// Adds a section and returns its index.
    pub(crate) fn section(&mut self, name: &str, flags: u64, data: &[u8]) -> u16 {
        self.sections.push((name.to_owned(), flags, data.to_vec()));
        u16::try_from(self.sections.len()).expect("few sections")
    }

    /// Adds a symbol: type 1 is an object, 2 a function.
    pub(crate) fn symbol(&mut self, name: &str, kind: u8, section: u16, value: u64, size: u64) {
        let name_at = u32::try_from(self.names.len()).expect("few names");
        self.names.extend(name.bytes().chain([0]));
        self.symbols.extend(name_at.to_le_bytes());
        self.symbols.extend([0x10 | kind, 0]);
        self.symbols.extend(section.to_le_bytes());
        self.symbols.extend(value.to_le_bytes());
        self.symbols.extend(size.to_le_bytes());
    }

    /// How many sections [`Elf::finish`] adds: the null section, names, symbols, their names.
    pub(crate) const OWN_SECTIONS: usize = 4;

    pub(crate) fn finish(self) -> Vec<u8> {
        let count = self.sections.len() + Self::OWN_SECTIONS;
        let count = u16::try_from(count).expect("few sections");
        let mut sections = self.sections;
        let section_names = sections
            .iter()
            .flat_map(|(name, _, _)| name.bytes().chain([0]));
        let section_names: Vec<u8> = [0].into_iter().chain(section_names).collect();
        sections.push((String::new(), 0, section_names));
        sections.push((String::new(), 0, self.symbols));
        sections.push((String::new(), 0, self.names));

        let mut body: Vec<u8> = Vec::new();
        let mut headers = vec![0_u8; 64];
        let mut name_at = 1_u32;
        for (index, (name, flags, data)) in sections.iter().enumerate() {
            let from_end = sections.len() - index;
            let (kind, link) = match from_end {
                1 | 3 => (3_u32, 0),
                2 => (2, u32::from(count) - 1),
                _ => (1, 0),
            };
            let named = if from_end > 3 { name_at } else { 0 };
            name_at += u32::try_from(name.len() + 1).expect("short names");
            let at = 64 + body.len() as u64;
            body.extend(data);
            headers.extend(named.to_le_bytes());
            headers.extend(kind.to_le_bytes());
            for word in [*flags, 0, at, data.len() as u64] {
                headers.extend(word.to_le_bytes());
            }
            headers.extend(link.to_le_bytes());
            headers.extend(0_u32.to_le_bytes());
            for word in [1_u64, if kind == 2 { 24 } else { 0 }] {
                headers.extend(word.to_le_bytes());
            }
        }

        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\xf7\0\x01\0\0\0".to_vec();
        file.extend([0; 16]);
        file.extend((64 + body.len() as u64).to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        for half in [64, 0, 0, 64, count, count - 3] {
            file.extend(half.to_le_bytes());
        }
        file.extend(body);
        file.extend(headers);
        file
    }
}

/// BTF of these types and strings.
pub(crate) fn btf(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let len = |bytes: usize| u32::try_from(bytes).expect("little BTF");
    let (types_len, strings_len) = (len(types.len() * 4), len(strings.len()));
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, types_len, types_len, strings_len] {
        btf.extend(word.to_le_bytes());
    }
    for word in types {
        btf.extend(word.to_le_bytes());
    }
    btf.extend(strings);
    btf
}
