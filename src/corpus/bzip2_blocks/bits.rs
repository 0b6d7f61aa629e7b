//! The parts of a bzip2 block, bit by bit: numbers, the bytes that occur, Huffman codes and their symbols.

/// Longest code in bits.
const LONGEST: u32 = 20;
/// Codes up to this length are looked up at once.
const QUICK: u32 = 10;

/// A Huffman code.
pub(super) struct Code {
    /// By the first [`QUICK`] bits: a symbol above the 5 bits of its length, or 0 where the code is longer.
    quick: Vec<u16>,
    /// By length: the first code, how many there are, and where their symbols begin in `symbols`.
    lengths: [(u32, u32, u32); LONGEST as usize + 1],
    /// Symbols by length, then number.
    symbols: Vec<u16>,
}

impl Code {
    /// From the length of each symbol's code.
    fn of(lengths: &[u32]) -> Option<Code> {
        let mut code = Code { quick: vec![0; 1 << QUICK], lengths: Default::default(), symbols: Vec::new() };
        let mut first = 0;
        for length in 1..=LONGEST {
            let begin = code.symbols.len() as u32;
            let own = lengths.iter().enumerate().filter(|&(_, &own)| own == length);
            code.symbols.extend(own.map(|(symbol, _)| symbol as u16));
            let count = code.symbols.len() as u32 - begin;
            code.lengths[length as usize] = (first, count, begin);
            if first + count > 1 << length {
                return None;
            }
            if length <= QUICK {
                let spread = 1 << (QUICK - length);
                for (number, &symbol) in (first..).zip(&code.symbols[begin as usize..]) {
                    let begin = number as usize * spread;
                    code.quick[begin..begin + spread].fill(symbol << 5 | length as u16);
                }
            }
            first = (first + count) << 1;
        }
        Some(code)
    }
}

/// Bits, the highest of a byte first. Behind the end come zeros.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte that is not in `word`.
    at: usize,
    /// The next bits, from the highest; the others are 0.
    word: u64,
    /// How many there are.
    count: u32,
}

impl<'a> Bits<'a> {
    /// From a bit on; none behind the end.
    pub fn new(bytes: &'a [u8], start: u64) -> Option<Self> {
        let at = usize::try_from(start / 8).ok().filter(|&at| at < bytes.len())?;
        let mut bits = Bits { bytes, at, word: 0, count: 0 };
        bits.take((start % 8) as u32);
        Some(bits)
    }

    /// Bits read so far, from the beginning of the bytes.
    pub fn position(&self) -> u64 {
        self.at as u64 * 8 - u64::from(self.count)
    }

    /// Makes sure of at least 56 bits.
    #[inline]
    fn fill(&mut self) {
        if let Some(next) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            self.word |= u64::from_be_bytes(*next) >> self.count;
            let whole = (63 - self.count) / 8;
            self.at += whole as usize;
            self.count += 8 * whole;
            // Bits beyond those counted would be put in twice.
            self.word &= !(u64::MAX.checked_shr(self.count).unwrap_or(0));
        } else {
            while self.count <= 56 {
                let byte = self.bytes.get(self.at).copied().unwrap_or(0);
                self.word |= u64::from(byte) << (56 - self.count);
                self.at += 1;
                self.count += 8;
            }
        }
    }

    /// The next bits, 24 at most.
    #[inline]
    pub fn take(&mut self, bits: u32) -> u64 {
        if bits == 0 {
            return 0;
        }
        if self.count < bits {
            self.fill();
        }
        let taken = self.word >> (64 - bits);
        self.word <<= bits;
        self.count -= bits;
        taken
    }

    /// The bytes that occur, ascending, and how many they are.
    pub fn alphabet(&mut self) -> Option<([u8; 256], usize)> {
        let (mut list, mut used) = ([0; 256], 0);
        let sixteens = self.take(16);
        for sixteen in (0..16).filter(|sixteen| sixteens >> (15 - sixteen) & 1 == 1) {
            let ones = self.take(16);
            for one in (0..16).filter(|one| ones >> (15 - one) & 1 == 1) {
                list[used] = sixteen * 16 + one;
                used += 1;
            }
        }
        (used > 0).then_some((list, used))
    }

    /// Which of the codes each group of symbols is in: numbers of a move-to-front list, each as so many ones.
    pub fn selectors(&mut self, codes: usize) -> Option<Vec<u8>> {
        let mut list: [u8; 6] = [0, 1, 2, 3, 4, 5];
        let number = self.take(15);
        if !(2..=6).contains(&codes) || number == 0 {
            return None;
        }
        let mut next = || {
            let mut at = 0;
            while self.take(1) == 1 {
                at += 1;
                if at >= codes {
                    return None;
                }
            }
            list[..=at].rotate_right(1);
            Some(list[0])
        };
        (0..number).map(|_| next()).collect()
    }

    /// A code of so many symbols, given by the length of each as the steps from that of the one before.
    pub fn code(&mut self, symbols: usize) -> Option<Code> {
        let mut lengths = [0; 258];
        let mut length = self.take(5) as u32;
        for own in &mut lengths[..symbols] {
            loop {
                if !(1..=LONGEST).contains(&length) {
                    return None;
                }
                if self.take(1) == 0 {
                    break;
                }
                length = if self.take(1) == 0 { length + 1 } else { length - 1 };
            }
            *own = length;
        }
        Code::of(&lengths[..symbols])
    }

    /// The next symbol of a code.
    #[inline]
    pub fn symbol(&mut self, code: &Code) -> Option<u32> {
        if self.count < LONGEST {
            self.fill();
        }
        let quick = code.quick[(self.word >> (64 - QUICK)) as usize];
        let (symbol, length) = if quick != 0 {
            (u32::from(quick >> 5), u32::from(quick & 31))
        } else {
            (QUICK + 1..=LONGEST).find_map(|length| {
                let (first, count, begin) = code.lengths[length as usize];
                let number = ((self.word >> (64 - length)) as u32).wrapping_sub(first);
                (number < count).then(|| (u32::from(code.symbols[(begin + number) as usize]), length))
            })?
        };
        self.word <<= length;
        self.count -= length;
        Some(symbol)
    }
}
