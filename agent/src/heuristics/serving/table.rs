//! The serving rules by name, with the numbers they take. The defaults are good over all shipped scenarios together; see
//! `docs/results/2026-11-21-serving-rules`.

use super::{Common, Score, Serving, Variants};
use crate::registry::{Parameter, Rule};

/// All serving rules.
pub const SERVINGS: &[Rule<Serving>] = &[
    Rule {
        name: "tardiness",
        about: "serve the batch with the most urgency per device-second (batched apparent tardiness cost)",
        parameters: &[CAP, PATIENCE, WARM, VARIANTS, SPARE, LULL, PREEMPT, KAPPA, FLOOR],
        make: |values| {
            let (kappa, floor) = (values[OWN], values[OWN + 1]);
            Serving::new(Score::Tardiness { kappa, floor }, common(values))
        },
    },
    Rule {
        name: "index",
        about: "serve the batch with the most requests in time per priced device-second",
        parameters: &[CAP, PATIENCE, WARM, VARIANTS, SPARE, LULL, PREEMPT, BETA],
        make: |values| Serving::new(Score::Index { beta: values[OWN] }, common(values)),
    },
    Rule {
        name: "max-weight",
        about: "serve where backlog times service rate is largest",
        parameters: &[CAP, PATIENCE, WARM, VARIANTS, SPARE, LULL, PREEMPT],
        make: |values| Serving::new(Score::MaxWeight, common(values)),
    },
    Rule {
        name: "gc-mu",
        about: "serve where the marginal cost of delay times service rate is largest",
        parameters: &[CAP, PATIENCE, WARM, VARIANTS, SPARE, LULL, PREEMPT, POWER],
        make: |values| Serving::new(Score::GcMu { power: values[OWN] }, common(values)),
    },
    Rule {
        name: "tightest",
        about: "serve the batch with the least slack, past requests that are late anyway",
        parameters: &[CAP, PATIENCE, WARM, VARIANTS, SPARE, LULL, PREEMPT],
        make: |values| Serving::new(Score::Slack, common(values)),
    },
    Rule {
        name: "keep-warm",
        about: "serve by deadline the models that are loaded; load another when enough requests wait for it",
        parameters: &[CAP, PATIENCE, WARM, VARIANTS, SPARE, LULL, PREEMPT, BACKLOG],
        make: |values| Serving::new(Score::KeepWarm { backlog: values[OWN] as u32 }, common(values)),
    },
];

/// Where a rule's own numbers begin.
const OWN: usize = 7;

const CAP: Parameter = Parameter {
    name: "cap",
    default: 0.7,
    range: (0.01, 100.0),
    whole: false,
    tries: &[0.25, 0.35, 0.5, 0.7, 1.0],
    about: "longest batch, as a part of the time from arrival to deadline",
};

const PATIENCE: Parameter = Parameter {
    name: "patience",
    default: 0.8,
    range: (0.0, 1.0),
    whole: false,
    tries: &[0.0, 0.5, 0.8, 1.0],
    about: "wait for a busy kind that answers in less than this part of the time; 0 never waits",
};

const WARM: Parameter = Parameter {
    name: "warm",
    default: 3.0,
    range: (0.0, 1000.0),
    whole: false,
    tries: &[1.0, 3.0, 6.0],
    about: "how many times loading a model counts",
};

const VARIANTS: Parameter = Parameter {
    name: "variants",
    default: 0.0,
    range: (0.0, 2.0),
    whole: true,
    tries: &[0.0, 1.0, 2.0],
    about: "0 the reference, 1 the most accurate that is in time, 2 the fastest",
};

const SPARE: Parameter = Parameter {
    name: "spare",
    default: 1.0,
    range: (0.0, 1000.0),
    whole: true,
    tries: &[0.0, 1.0, 2.0],
    about: "devices of each kind that jobs leave free for requests",
};

const LULL: Parameter = Parameter {
    name: "lull",
    default: 0.0,
    range: (0.0, 1.0),
    whole: false,
    tries: &[0.0, 0.01],
    about: "jobs may have all devices while requests come at less than this part of their usual rate",
};

const PREEMPT: Parameter = Parameter {
    name: "preempt",
    default: 0.0,
    range: (0.0, 1.0),
    whole: true,
    tries: &[0.0, 1.0],
    about: "1 to cut off jobs for requests that would be late otherwise",
};

const KAPPA: Parameter = Parameter {
    name: "kappa",
    default: 0.15,
    range: (0.001, 100.0),
    whole: false,
    tries: &[0.1, 0.15, 0.2, 0.3],
    about: "scale of urgency, as a part of the time from arrival to deadline",
};

const FLOOR: Parameter = Parameter {
    name: "floor",
    default: 0.003,
    range: (0.0, 1.0),
    whole: false,
    tries: &[0.0, 0.003, 0.01, 0.03],
    about: "urgency of a request that has all the time in the world; 1 is that at its deadline",
};

const BETA: Parameter = Parameter {
    name: "beta",
    default: 0.0,
    range: (0.0, 10.0),
    whole: false,
    tries: &[0.0, 0.5, 1.0],
    about: "exponent of the price of a device-second",
};

const POWER: Parameter = Parameter {
    name: "power",
    default: 2.0,
    range: (1.0, 20.0),
    whole: false,
    tries: &[1.0, 2.0, 4.0, 8.0],
    about: "cost of a delay is this power of it",
};

const BACKLOG: Parameter = Parameter {
    name: "backlog",
    default: 4.0,
    range: (1.0, 1024.0),
    whole: true,
    tries: &[1.0, 2.0, 4.0, 8.0],
    about: "requests that justify loading their model",
};

fn common(values: &[f64]) -> Common {
    let variants = match values[3] as u32 {
        0 => Variants::Reference,
        1 => Variants::Accurate,
        _ => Variants::Fastest,
    };
    Common {
        cap: values[0],
        patience: values[1],
        warm: values[2],
        variants,
        spare: values[4] as u32,
        lull: values[5],
        preempt: values[6] > 0.0,
    }
}
