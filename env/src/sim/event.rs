//! Completions to come, earliest first; of those at the same time, the one that started first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::units::Time;

#[derive(Clone, Debug, Default)]
pub(super) struct Finishes {
    heap: BinaryHeap<Reverse<(Time, u64)>>,
}

impl Finishes {
    pub(super) fn push(&mut self, time: Time, sequence: u64) {
        self.heap.push(Reverse((time, sequence)));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((time, _))| *time)
    }

    /// The start sequence of the next completion.
    pub(super) fn pop(&mut self) -> Option<u64> {
        self.heap.pop().map(|Reverse((_, sequence))| sequence)
    }

    /// Forgets a completion that will not come. Rare, so that the others need not be cheaper to find.
    pub(super) fn cancel(&mut self, sequence: u64) {
        self.heap.retain(|Reverse((_, other))| *other != sequence);
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

const PRIME: u64 = 0x0100_0000_01b3;
/// By how many zero bytes: a zero byte only multiplies.
const PRIMES: [u64; 9] = {
    let mut powers = [1_u64; 9];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1].wrapping_mul(PRIME);
        at += 1;
    }
    powers
};

/// FNV-1a over the eight bytes of a word, lowest first.
pub(super) fn fnv1a(digest: u64, word: u64) -> u64 {
    let zeros = word.leading_zeros() as usize / 8;
    let bytes = word.to_le_bytes();
    let mixed = bytes[..8 - zeros]
        .iter()
        .fold(digest, |digest, &byte| (digest ^ u64::from(byte)).wrapping_mul(PRIME));
    mixed.wrapping_mul(PRIMES[zeros])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_goes_byte_by_byte() {
        for word in [0, 1, 0xff, 0x100, 0x00ff_0000_0000, u64::MAX, 0x8000_0000_0000_0000, 0x0123_4567_89ab] {
            let plain = word
                .to_le_bytes()
                .iter()
                .fold(77, |digest: u64, &byte| (digest ^ u64::from(byte)).wrapping_mul(PRIME));
            assert_eq!(fnv1a(77, word), plain, "{word:x}");
        }
    }
}
