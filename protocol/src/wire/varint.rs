//! The varint of the hand-written layouts: unsigned LEB128 of a `u16`, in its shortest form (SPEC.md section 1).
//!
//! A value has one encoding: a longer one is an error, so what is decoded encodes to the same bytes.

use alloc::vec::Vec;

/// The bytes do not begin with a varint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadVarint {
    /// The bytes end inside it.
    Truncated,
    /// It is longer than it needs to be, or above the range of a `u16`.
    Form,
}

/// Bytes that the varint of `value` takes.
pub(crate) fn size(value: u16) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000.. => 3,
    }
}

/// Appends `value`.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u16) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads the varint at the beginning of `bytes`: its value and how many bytes it takes.
pub(crate) fn take(bytes: &[u8]) -> Result<(u16, usize), BadVarint> {
    let mut value = 0_u32;
    for (index, &byte) in bytes.iter().take(3).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u16::try_from(value).map_err(|_| BadVarint::Form)?;
            let length = index + 1;
            return if size(value) == length {
                Ok((value, length))
            } else {
                Err(BadVarint::Form)
            };
        }
    }
    Err(if bytes.len() < 3 {
        BadVarint::Truncated
    } else {
        BadVarint::Form
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn every_value_reads_back_in_its_shortest_form() {
        for value in 0..=u16::MAX {
            let mut bytes = vec![];
            put(&mut bytes, value);
            assert_eq!(bytes.len(), size(value));
            bytes.push(0xff);
            assert_eq!(take(&bytes), Ok((value, bytes.len() - 1)));
        }
    }

    #[test]
    fn every_three_bytes_are_a_shortest_form_or_refused() {
        for bits in 0..0x0100_0000_u32 {
            let [a, b, c, _] = bits.to_le_bytes();
            if let Ok((value, length)) = take(&[a, b, c]) {
                let mut again = vec![];
                put(&mut again, value);
                assert_eq!(again, [a, b, c][..length]);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(take(&[]), Err(BadVarint::Truncated));
        assert_eq!(take(&[0x80]), Err(BadVarint::Truncated));
        assert_eq!(take(&[0x80, 0x00]), Err(BadVarint::Form));
        assert_eq!(take(&[0xff, 0xff, 0x04]), Err(BadVarint::Form));
        assert_eq!(take(&[0xff, 0xff, 0x83, 0x00]), Err(BadVarint::Form));
    }
}
