//! Sizes of the gangs seen lately.

use yardmaster_env::view::View;

/// Jobs that are looked back at.
const LATELY: usize = 256;

/// How often each gang size was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gangs {
    /// By gang, from 0.
    counts: Vec<u32>,
    seen: usize,
}

impl Gangs {
    /// Takes in what has arrived.
    pub fn update(&mut self, view: &View<'_>) {
        let add = |counts: &mut Vec<u32>, at: usize, change: i32| {
            let gang = view.jobs[at].gang as usize;
            counts.resize(counts.len().max(gang + 1), 0);
            counts[gang] = counts[gang].saturating_add_signed(change);
        };
        for at in self.seen..view.jobs.len() {
            add(&mut self.counts, at, 1);
            if at >= LATELY {
                add(&mut self.counts, at - LATELY, -1);
            }
        }
        self.seen = view.jobs.len();
    }

    /// How many of a node's free devices are of no use for such a gang, in expectation: all, where it does not fit.
    pub fn useless(&self, free: u32) -> f64 {
        let all: u32 = self.counts.iter().sum();
        let larger: u32 = self.counts.iter().skip(free as usize + 1).sum();
        f64::from(free) * f64::from(larger) / f64::from(all.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_useless_for_gangs_that_do_not_fit() {
        let gangs = Gangs { counts: vec![0, 6, 0, 0, 2], seen: 8 };
        assert_eq!([0, 1, 3, 4, 8].map(|free| gangs.useless(free)), [0.0, 0.25, 0.75, 0.0, 0.0]);
    }
}
