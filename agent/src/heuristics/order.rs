//! Which work comes first: a key, lower first; equal keys in order of arrival.
//!
//! Sources: SJF, Smallest and SAF are folklore; highest response ratio next is Brinch Hansen (1971); shortest remaining
//! processing time Schrage (1968); least attained service Kleinrock (1976), in levels as in Tiresias (Gu et al., NSDI'19);
//! least slack Dertouzos and Mok (1989); priorities that grow with the wait Kleinrock (1964); F1 is Carastan-Santos and de Camargo (SC'17); WFP3 and UNICEP are
//! Tang et al. (2009) as compared in RLScheduler (Zhang et al., SC'20).

use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::View;

use super::Work;
use crate::registry::{Parameter, Rule};

/// A queue order.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    Saf {
        /// The exponent of the processors: 0 is shortest first, above 1 small jobs come before short ones.
        width: f64,
    },
    /// Earliest deadline first; work without one comes last.
    Edf,
    /// log10(requested) x processors + 870 log10(submit).
    F1 {
        /// The weight of log10(submit).
        submit: f64,
    },
    /// Deadline - remaining time, least first; work without a deadline comes last.
    LeastSlack,
    /// Heaviest first; the weight grows with the wait.
    Priority {
        /// By how much in an hour.
        ageing: f64,
    },
    /// Highest response ratio, (wait + time) / time, first.
    Hrrn,
    /// Shortest remaining time first; cuts off what takes longer, where that is allowed.
    Srpt,
    /// Least attained service (devices x time) first, in levels that double; cuts off what is on a higher level, where
    /// that is allowed.
    Las {
        /// Device-time of the first level.
        level: Span,
    },
    /// In turn: who has waited longest since it arrived or was last cut off. Time slices are those of the discipline
    /// `rounds`, or end in a preemption, where that is allowed.
    RoundRobin {
        /// How long a slice lasts before it is cut off for others.
        slice: Span,
    },
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
        parameters: &[WIDTH],
        make: |values| Order::Saf { width: values[0] },
    },
    Rule { name: "edf", about: "earliest deadline first", parameters: &[], make: |_| Order::Edf },
    Rule {
        name: "least-slack",
        about: "least time between the estimated end and the deadline first",
        parameters: &[],
        make: |_| Order::LeastSlack,
    },
    Rule {
        name: "priority",
        about: "heaviest first; weights grow with the wait",
        parameters: &[AGEING],
        make: |values| Order::Priority { ageing: values[0] },
    },
    Rule {
        name: "hrrn",
        about: "highest response ratio, (wait + time) / time, first",
        parameters: &[],
        make: |_| Order::Hrrn,
    },
    Rule {
        name: "srpt",
        about: "shortest remaining time first; preempts what takes longer, where allowed",
        parameters: &[],
        make: |_| Order::Srpt,
    },
    Rule {
        name: "las",
        about: "least attained service first, in doubling levels; preempts higher levels, where allowed",
        parameters: &[LEVEL],
        make: |values| Order::Las { level: Span::from_secs_f64(values[0] * 3600.0) },
    },
    Rule {
        name: "rr",
        about: "round-robin: equal time slices in turn (--queue rounds, or by preemption)",
        parameters: &[SLICE],
        make: |values| Order::RoundRobin { slice: Span::from_secs_f64(values[0] * 3600.0) },
    },
    Rule {
        name: "f1",
        about: "log10(time) x processors + 870 log10(submit)",
        parameters: &[SUBMIT],
        make: |values| Order::F1 { submit: values[0] },
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

const WIDTH: Parameter = Parameter {
    name: "width",
    default: 1.0,
    range: (0.0, 10.0),
    whole: false,
    tries: &[0.3, 0.5, 0.7, 1.5, 2.0, 3.0],
    about: "exponent of the processors; 0 is shortest first",
};

const SUBMIT: Parameter = Parameter {
    name: "submit",
    default: 870.0,
    range: (0.0, 1e9),
    whole: false,
    tries: &[0.0, 100.0, 300.0, 3e3, 1e4, 3e4],
    about: "weight of log10(submit): how much it counts to have come earlier",
};

const AGEING: Parameter = Parameter {
    name: "ageing",
    default: 0.1,
    range: (0.0, 1e6),
    whole: false,
    tries: &[0.0, 0.01, 0.1, 1.0],
    about: "by how much the weight grows in an hour",
};

const LEVEL: Parameter = Parameter {
    name: "level_h",
    default: 1.0,
    range: (1e-6, 1e6),
    whole: false,
    tries: &[0.3, 1.0, 3.0, 10.0],
    about: "device-hours of the first level; each further one is twice as long",
};

const SLICE: Parameter = Parameter {
    name: "slice_h",
    default: 1.0,
    range: (1e-6, 1e6),
    whole: false,
    tries: &[0.25, 1.0, 4.0, 16.0],
    about: "how long a slice lasts before a preemption, in hours",
};

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
            Order::Saf { width } => (requested() * libm::pow(procs, width), submit),
            Order::Edf => (job.deadline.map_or(f64::INFINITY, Time::as_secs_f64), submit),
            Order::F1 { submit: weight } => {
                (libm::log10(or_tenth(requested())) * procs + weight * libm::log10(or_tenth(submit)), 0.0)
            }
            Order::LeastSlack => {
                let slack = |deadline: Time| deadline.as_secs_f64() - requested();
                (job.deadline.map_or(f64::INFINITY, slack), submit)
            }
            // All weights grow alike, so that who is first does not change with time.
            Order::Priority { ageing } => (ageing * submit / 3600.0 - job.weight, submit),
            Order::Hrrn => (-(wait() + requested()) / requested().max(1e-9), submit),
            Order::Srpt => (remaining(view, work).as_secs_f64(), submit),
            Order::Las { level: first } => {
                let attained = view.progress(work.job).received * u64::from(job.gang);
                (f64::from(level(attained, first)), submit)
            }
            Order::RoundRobin { .. } => (view.progress(work.job).turn as f64, submit),
            Order::Wfp3 => (wfp3(wait(), requested(), procs), 0.0),
            Order::Unicep => (unicep(wait(), requested(), procs), 0.0),
            Order::Wfp3Published => (wfp3(defect(), requested(), procs), 0.0),
            Order::UnicepPublished => (unicep(defect(), requested(), procs), 0.0),
        }
    }

    /// Whether keys change relative to each other as time goes by.
    pub fn drifts(self) -> bool {
        matches!(self, Order::Wfp3 | Order::Unicep | Order::Hrrn)
    }

    /// Whether work behind a head that does not fit must wait for it.
    pub fn blocks(self) -> bool {
        self == Order::Fcfs
    }
}

/// What is left of the work on its best kind.
pub(super) fn remaining(view: &View<'_>, work: Work) -> Span {
    let left =
        |slot| if work.stream.is_some() { work.span(view, slot) } else { view.remaining(work.job, slot) };
    (0..view.timing.kinds()).filter_map(left).min().unwrap_or(Span::MAX)
}

/// The level of what has received so much: 0 below `first`, then one more with each doubling.
pub(super) fn level(attained: Span, first: Span) -> u32 {
    (attained.0 / first.0.max(1)).checked_ilog2().map_or(0, |doublings| doublings + 1)
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
