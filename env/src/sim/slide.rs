//! A list that lends one slice and gives up any element at the cost of the shorter side.
//!
//! What waits and what runs leaves from everywhere, mostly from the front; a plain vector would move all that is
//! behind it.

use std::collections::VecDeque;
use std::ops::Deref;

/// Elements in order. The ring never wraps, so all of them are one slice.
#[derive(Clone, Debug)]
pub(super) struct Slide<T> {
    ring: VecDeque<T>,
}

impl<T> Default for Slide<T> {
    fn default() -> Slide<T> {
        Slide { ring: VecDeque::new() }
    }
}

impl<T> Slide<T> {
    /// Appends, in constant time on average.
    pub(super) fn push(&mut self, item: T) {
        self.ring.push_back(item);
        self.unwrap_ring();
    }

    /// Inserts before the element at `at`.
    pub(super) fn insert(&mut self, at: usize, item: T) {
        self.ring.insert(at, item);
        self.unwrap_ring();
    }

    /// Takes out the element at `at`.
    pub(super) fn remove(&mut self, at: usize) -> Option<T> {
        self.ring.remove(at)
    }

    /// All elements, to be put into another order.
    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        self.ring.make_contiguous()
    }

    /// Puts the elements back into one slice; at least as many can then be pushed before this is due again.
    fn unwrap_ring(&mut self) {
        if !self.ring.as_slices().1.is_empty() {
            self.ring.reserve(self.ring.len());
            self.ring.make_contiguous();
        }
    }
}

impl<T> Deref for Slide<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let (all, rest) = self.ring.as_slices();
        debug_assert!(rest.is_empty(), "the ring has wrapped");
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_vector(steps in proptest::collection::vec((0..4_u8, any::<usize>()), 0..300)) {
            let (mut slide, mut vector) = (Slide::default(), Vec::new());
            for (number, (what, at)) in steps.into_iter().enumerate() {
                match what {
                    0 if !vector.is_empty() => {
                        let at = at % vector.len();
                        prop_assert_eq!(slide.remove(at), Some(vector.remove(at)));
                    }
                    1 => {
                        let at = at % (vector.len() + 1);
                        slide.insert(at, number);
                        vector.insert(at, number);
                    }
                    _ => {
                        slide.push(number);
                        vector.push(number);
                    }
                }
                prop_assert_eq!(&*slide, &vector[..]);
            }
            slide.as_mut_slice().reverse();
            vector.reverse();
            prop_assert_eq!(&*slide, &vector[..]);
        }
    }
}
