//! Which work comes first: a key, lower first; equal keys in order of arrival.
//!
//! Sources: SJF, Smallest and SAF are folklore; F1 is Carastan-Santos and de Camargo (SC'17); WFP3 and UNICEP are
//! Tang et al. (2009) as compared in RLScheduler (Zhang et al., SC'20).

use yardmaster_env::units::Time;
use yardmaster_env::view::View;

use super::Work;
use crate::registry::Rule;

/// A queue order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First come, first served. The head blocks the queue until it fits.
    Fcfs,
    /// Shortest requested time first.
    Sjf,
    /// Longest requested time first.
    Ljf,
    /// Fewest processors first.
    Smallest,
    /// Smallest area (requested time x processors) first.
    Saf,
    /// Earliest deadline first; work without one comes last.
    Edf,
    /// log10(requested) x processors + 870 log10(submit).
    F1,
    /// In turn: who has waited longest since it arrived or was last cut off (discipline `rounds`).
    RoundRobin,
    /// -(wait / requested)^3 x processors.
    Wfp3,
    /// -wait / (log2(processors) x requested).
    Unicep,
    /// WFP3 with the published tables' defect: wait = -1 - submit.
    Wfp3Published,
    /// UNICEP with the published tables' defect: wait = -1 - submit.
    UnicepPublished,
}

/// All orders.
pub const ORDERS: &[Rule<Order>] = &[
    Rule {
        name: "fcfs",
        about: "first come, first served; the head blocks the queue",
        parameters: &[],
        make: |_| Order::Fcfs,
    },
    Rule { name: "sjf", about: "shortest estimated time first", parameters: &[], make: |_| Order::Sjf },
    Rule { name: "ljf", about: "longest estimated time first", parameters: &[], make: |_| Order::Ljf },
    Rule { name: "smallest", about: "fewest processors first", parameters: &[], make: |_| Order::Smallest },
    Rule {
        name: "saf",
        about: "smallest area (time x processors) first",
        parameters: &[],
        make: |_| Order::Saf,
    },
    Rule { name: "edf", about: "earliest deadline first", parameters: &[], make: |_| Order::Edf },
    Rule {
        name: "rr",
        about: "round-robin: equal time slices in turn (--queue rounds)",
        parameters: &[],
        make: |_| Order::RoundRobin,
    },
    Rule {
        name: "f1",
        about: "log10(time) x processors + 870 log10(submit)",
        parameters: &[],
        make: |_| Order::F1,
    },
    Rule {
        name: "wfp3",
        about: "favours long waits, cubed, relative to requested time",
        parameters: &[],
        make: |_| Order::Wfp3,
    },
    Rule {
        name: "unicep",
        about: "favours long waits of small, short jobs",
        parameters: &[],
        make: |_| Order::Unicep,
    },
    Rule {
        name: "wfp3-published",
        about: "wfp3 with the defect of the published tables (to reproduce them)",
        parameters: &[],
        make: |_| Order::Wfp3Published,
    },
    Rule {
        name: "unicep-published",
        about: "unicep with the defect of the published tables (to reproduce them)",
        parameters: &[],
        make: |_| Order::UnicepPublished,
    },
];

impl Order {
    /// The key of a work item; compared lexicographically.
    pub fn key(self, view: &View<'_>, work: Work) -> (f64, f64) {
        let job = view.job(work.job);
        let submit = job.arrival.as_secs_f64();
        let procs = f64::from(job.procs);
        let requested = || work.shortest(view).as_secs_f64();
        let wait = || view.now.since(job.arrival).as_secs_f64();
        // The defect: the original computes the wait before it sets the current time.
        let defect = || -1.0 - submit;
        match self {
            Order::Fcfs => (submit, 0.0),
            Order::Sjf => (requested(), submit),
            Order::Ljf => (-requested(), submit),
            Order::Smallest => (procs, submit),
            Order::Saf => (requested() * procs, submit),
            Order::Edf => (job.deadline.map_or(f64::INFINITY, Time::as_secs_f64), submit),
            Order::F1 => {
                (libm::log10(or_tenth(requested())) * procs + 870.0 * libm::log10(or_tenth(submit)), 0.0)
            }
            Order::RoundRobin => (view.progress(work.job).turn as f64, 0.0),
            Order::Wfp3 => (wfp3(wait(), requested(), procs), 0.0),
            Order::Unicep => (unicep(wait(), requested(), procs), 0.0),
            Order::Wfp3Published => (wfp3(defect(), requested(), procs), 0.0),
            Order::UnicepPublished => (unicep(defect(), requested(), procs), 0.0),
        }
    }

    /// Whether keys change relative to each other as time goes by.
    pub fn drifts(self) -> bool {
        matches!(self, Order::Wfp3 | Order::Unicep)
    }

    /// Whether work behind a head that does not fit must wait for it.
    pub fn blocks(self) -> bool {
        self == Order::Fcfs
    }
}

fn or_tenth(value: f64) -> f64 {
    if value == 0.0 { 0.1 } else { value }
}

fn wfp3(wait: f64, requested: f64, procs: f64) -> f64 {
    // `pow`, rounded once, as the published code has it: x * x * x differs in the last digit and so in ties.
    -libm::pow(wait / requested, 3.0) * procs
}

fn unicep(wait: f64, requested: f64, procs: f64) -> f64 {
    -(wait + 1e-15) / (libm::log2(procs + 1e-15) * requested)
}
