//! Names of nodes, numbered, and found again in about the order in which they were asked for before.
//!
//! A scheduler sends thousands of names with each pod, nearly always in the order of the last time. What costs is not the
//! hash but memory: table, name and node each lie somewhere else. So the name that came next the last time is compared
//! first, which lies next to the one before; only where it is another one the table is asked.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Distinct names with numbers from 0.
#[derive(Debug, Default)]
pub struct Names {
    /// All of them, one after another.
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// By number, the one that was asked for after it the last time. Only a guess: threads may write over each other.
    next: Vec<AtomicU32>,
}

/// Finds names one after another.
#[derive(Debug)]
pub struct Walk<'a> {
    names: &'a Names,
    /// What is expected next.
    guess: usize,
    /// What was found last.
    last: Option<usize>,
}

impl Names {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A name by its number.
    pub fn name(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// The number of a name.
    pub fn find(&self, name: &str) -> Option<usize> {
        let hash = self.hasher.hash_one(name);
        self.numbers.find(hash, |&number| self.name(number as usize) == name).map(|&number| number as usize)
    }

    /// The number of a name, which is added if it is not known yet: then it is the highest.
    pub fn add(&mut self, name: &str) -> usize {
        if let Some(number) = self.find(name) {
            return number;
        }
        let number = self.len();
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.next.push(AtomicU32::new(number as u32 + 1));
        let Names { text, ends, numbers, hasher, .. } = self;
        let name =
            |number: usize| &text[number.checked_sub(1).map_or(0, |before| ends[before])..ends[number]];
        let hash = |&number: &u32| hasher.hash_one(name(number as usize));
        numbers.insert_unique(hash(&(number as u32)), number as u32, hash);
        number
    }

    /// Begins with whichever name.
    pub fn walk(&self) -> Walk<'_> {
        Walk { names: self, guess: 0, last: None }
    }
}

impl Walk<'_> {
    /// The number of the next name, as [`Names::find`] says it.
    pub fn find(&mut self, name: &str) -> Option<usize> {
        let names = self.names;
        let number = if self.guess < names.len() && names.name(self.guess) == name {
            self.guess
        } else {
            let number = names.find(name)?;
            if let Some(last) = self.last {
                names.next[last].store(number as u32, Ordering::Relaxed);
            }
            number
        };
        self.last = Some(number);
        self.guess = names.next[number].load(Ordering::Relaxed) as usize;
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_order_and_by_guess_in_the_last() {
        let mut names = Names::default();
        let all: Vec<String> = (0..500).map(|number| format!("node-{number}")).collect();
        for (number, name) in all.iter().enumerate() {
            assert_eq!(names.add(name), number);
        }
        assert_eq!((names.add("node-7"), names.len(), names.name(7)), (7, 500, "node-7"));
        let order: Vec<usize> = (0..500).map(|at| (at * 77 + 3) % 500).collect();
        for _ in 0..2 {
            let mut walk = names.walk();
            for &number in &order {
                assert_eq!(walk.find("unknown"), None, "which is passed over");
                assert_eq!(walk.find(&all[number]), Some(number));
            }
        }
        // Now each name tells the next.
        let mut walk = names.walk();
        for pair in order.windows(2) {
            walk.find(&all[pair[0]]);
            assert_eq!(walk.guess, pair[1]);
        }
        assert_eq!(names.find(""), None);
        assert_eq!(Names::default().walk().find("a"), None);
    }
}
