//! An input read as a script: its bytes become choices, one after the other.

use bytes::Bytes;

/// The choices that are left. A script that is over answers every question with zero.
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// A number that is mostly small, and at times anything.
    pub fn number(&mut self) -> u32 {
        match self.byte() {
            0xff => self.u32(),
            0xfe => u32::from(self.u16()),
            small => u32::from(small),
        }
    }

    /// At most so many bytes.
    pub fn bytes(&mut self, count: usize) -> Bytes {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        Bytes::copy_from_slice(taken)
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.bytes(N);
        array[..taken.len()].copy_from_slice(&taken);
        array
    }

    /// Changes one byte, at a place of the script's choice.
    pub fn spoil(&mut self, bytes: &mut [u8]) {
        let at = usize::from(self.u16());
        let change = self.byte();
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] ^= change;
        }
    }
}
