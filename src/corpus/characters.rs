//! Classes of characters, by the Unicode tables of `regex-syntax`.

/// A set of characters, a bit each up to the last of them.
pub(super) struct CharacterClass {
    bits: Vec<u64>,
}

impl CharacterClass {
    /// The characters of a class as regular expressions write it; a constant of the program.
    pub fn of(class: &str) -> Self {
        let class = regex_syntax::parse(class).expect("a constant expression");
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = class.kind() else {
            unreachable!("a class parses to a class")
        };
        let mut bits = Vec::new();
        for code in class.ranges().iter().flat_map(|range| range.start() as usize..=range.end() as usize) {
            bits.resize(bits.len().max(code / 64 + 1), 0_u64);
            bits[code / 64] |= 1 << (code % 64);
        }
        CharacterClass { bits }
    }

    /// Whether a character belongs to it.
    pub fn contains(&self, character: char) -> bool {
        let code = character as usize;
        self.bits.get(code / 64).is_some_and(|bits| bits >> (code % 64) & 1 == 1)
    }
}
