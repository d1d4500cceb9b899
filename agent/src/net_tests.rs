//! Tests of the forward pass.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;

use proptest::prelude::*;
use yardmaster_env::observe::{Observation, Pair};

use super::*;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code)] // An allocator cannot be written without; it only counts and passes on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, at: *mut u8, memory: Memory) {
        unsafe { System.dealloc(at, memory) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const DIMS: Dims = Dims { global: 12, job: 16, node: 16, pair: 12 };

/// Numbers in -1..1 from a small generator.
pub(crate) fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// An observation of that size whose candidates go through all pairs.
pub(crate) fn observation(dims: &Dims, jobs: usize, nodes: usize, pairs: usize, seed: u32) -> Observation {
    let pair = |i: usize| Pair { job: (i % jobs) as u32, node: (i / jobs % nodes) as u32 };
    Observation {
        global: numbers(dims.global, seed),
        jobs: numbers(jobs * dims.job, seed + 1),
        nodes: numbers(nodes * dims.node, seed + 2),
        pair_features: numbers(pairs * dims.pair, seed + 3),
        pairs: (0..pairs).map(pair).collect(),
        wait: true,
    }
}

/// A network with small random weights.
pub(crate) fn random_net(dims: Dims, seed: u32) -> PolicyNet {
    let sizes = Sizes::default();
    let layout = Layout::policy(&dims, &sizes);
    let mut params: Vec<f32> = numbers(layout.total(), seed).iter().map(|x| x * 0.2).collect();
    params[layout.trained()..].iter_mut().for_each(|x| *x += 1.0);
    PolicyNet::new(dims, sizes, 1.0, &params).unwrap()
}

/// The formula of the module's head in double precision, one candidate at a time.
fn plain_logits(net: &PolicyNet, obs: &Observation, prior: Option<usize>) -> Vec<f64> {
    let get = |name: &str| {
        let entry = net.layout().entry(name).unwrap();
        let values =
            net.params()[entry.offset..][..entry.len()].iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        (values, *entry.shape.last().unwrap())
    };
    let times = |x: &[f64], name: &str| {
        let (w, outputs) = get(name);
        (0..outputs)
            .map(|o| x.iter().enumerate().map(|(k, x)| x * w[k * outputs + o]).sum())
            .collect::<Vec<f64>>()
    };
    let plus = |a: Vec<f64>, b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
    let relu = |a: Vec<f64>| a.into_iter().map(|a| a.max(0.0)).collect::<Vec<_>>();
    let norm = |x: &[f32], group: &str| {
        let (shift, scale) = (get(&format!("norm.{group}.shift")).0, get(&format!("norm.{group}.scale")).0);
        (0..x.len())
            .map(|k| ((f64::from(x[k]) - shift[k]) * scale[k]).clamp(-10.0, 10.0))
            .collect::<Vec<f64>>()
    };
    let tower = |x: &[f32], group: &str| {
        let h = relu(plus(times(&norm(x, group), &format!("{group}.0.w")), &get(&format!("{group}.0.b")).0));
        relu(plus(times(&h, &format!("{group}.1.w")), &get(&format!("{group}.1.b")).0))
    };
    let pooled = |rows: &[Vec<f64>]| {
        let column = |k: usize| rows.iter().map(move |row| row[k]);
        let d = net.sizes().embed;
        let mean = (0..d).map(|k| column(k).sum::<f64>() / rows.len().max(1) as f64);
        mean.chain((0..d).map(|k| column(k).fold(0.0, f64::max))).collect::<Vec<_>>()
    };
    let e_j: Vec<_> = obs.jobs.chunks(net.dims().job).map(|x| tower(x, "job")).collect();
    let e_n: Vec<_> = obs.nodes.chunks(net.dims().node).map(|x| tower(x, "node")).collect();
    let all = [pooled(&e_j), pooled(&e_n), norm(&obs.global, "global")].concat();
    let c = relu(plus(times(&all, "context.w"), &get("context.b").0));
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut logits = Vec::new();
    for (i, pair) in obs.pairs.iter().enumerate() {
        let (job, node) = (&e_j[pair.job as usize], &e_n[pair.node as usize]);
        let q = plus(times(job, "query.job.w"), &times(&c, "query.context.w"));
        let x = norm(&obs.pair_features[i * net.dims().pair..][..net.dims().pair], "pair");
        let mut h = plus(times(&x, "pair.pair.w"), &times(job, "pair.job.w"));
        h = plus(plus(h, &times(node, "pair.node.w")), &times(&c, "pair.context.w"));
        let h = relu(plus(h, &get("pair.b").0));
        let root = (net.sizes().embed as f64).sqrt();
        logits.push(inner(&q, &times(node, "key.node.w")) / root + inner(&h, &get("score.w").0));
    }
    if obs.wait {
        let h = relu(plus(times(&c, "wait.0.w"), &get("wait.0.b").0));
        logits.push(inner(&h, &get("wait.1.w").0) + get("wait.1.b").0[0]);
    }
    if let Some(action) = prior {
        logits[action] += f64::from(net.lambda());
    }
    logits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_forward_pass_is_the_formula(jobs in 1..9_usize, nodes in 1..5_usize, pairs in 0..30_usize, seed in 0..9999_u32) {
        let net = random_net(DIMS, seed);
        let obs = observation(&DIMS, jobs, nodes, pairs, seed);
        let prior = Some(seed as usize % obs.actions());
        let mut scratch = Scratch::default();
        let expected = plain_logits(&net, &obs, prior);
        let logits = net.logits(&obs, prior, &mut scratch);
        prop_assert_eq!(logits.len(), obs.actions());
        for (a, b) in logits.iter().zip(&expected) {
            prop_assert!((f64::from(*a) - b).abs() < 1e-4, "{} is not {}", a, b);
        }
    }
}

#[test]
fn slots_name_the_layouts_entries() {
    let layout = Layout::policy(&DIMS, &Sizes::default());
    let names = [
        (Slot::Job, "job.0.w"),
        (Slot::Node, "node.0.w"),
        (Slot::Context, "context.w"),
        (Slot::QueryJob, "query.job.w"),
        (Slot::QueryContext, "query.context.w"),
        (Slot::KeyNode, "key.node.w"),
        (Slot::PairPair, "pair.pair.w"),
        (Slot::PairJob, "pair.job.w"),
        (Slot::PairNode, "pair.node.w"),
        (Slot::PairContext, "pair.context.w"),
        (Slot::PairBias, "pair.b"),
        (Slot::Score, "score.w"),
        (Slot::Wait, "wait.0.w"),
        (Slot::Norm, "norm.global.shift"),
    ];
    for (slot, name) in names {
        assert_eq!(layout.entries()[slot as usize].name, name);
    }
    assert_eq!(layout.entries()[Slot::Norm as usize].offset, layout.trained());
}

#[test]
fn the_second_decision_allocates_nothing() {
    let net = random_net(DIMS, 3);
    let large = observation(&DIMS, 32, 6, 64, 1);
    let small = observation(&DIMS, 3, 2, 5, 2);
    let mut scratch = Scratch::default();
    let first = net.logits(&large, Some(2), &mut scratch).to_vec();
    net.logits(&small, None, &mut scratch);
    let before = ALLOCATIONS.with(Cell::get);
    let sum: f32 = net.logits(&small, None, &mut scratch).iter().sum();
    let again = net.logits(&large, Some(2), &mut scratch);
    assert_eq!(ALLOCATIONS.with(Cell::get), before, "a decision allocated");
    assert_eq!(again, first);
    assert!(sum.is_finite());
}

#[test]
fn an_empty_cluster_can_only_wait() {
    let net = random_net(DIMS, 4);
    let obs = Observation { global: numbers(DIMS.global, 1), wait: true, ..Observation::default() };
    let mut scratch = Scratch::default();
    assert_eq!(net.choose(&obs, None, &mut scratch), Some(0));
    let obs = Observation { wait: false, ..obs };
    assert_eq!(net.choose(&obs, None, &mut scratch), None);
}

#[test]
fn zero_last_layers_follow_the_prior() {
    let mut params = random_net(DIMS, 5).params().to_vec();
    let layout = Layout::policy(&DIMS, &Sizes::default());
    for name in ["score.w", "wait.1.w", "wait.1.b", "key.node.w"] {
        let entry = layout.entry(name).unwrap();
        params[entry.offset..][..entry.len()].fill(0.0);
    }
    let net = PolicyNet::new(DIMS, Sizes::default(), 1.5, &params).unwrap();
    let obs = observation(&DIMS, 4, 3, 9, 6);
    let mut expected = vec![0.0; 10];
    expected[7] = 1.5;
    assert_eq!(net.logits(&obs, Some(7), &mut Scratch::default()), expected);
}

#[test]
fn wrong_weights_are_refused() {
    let net = random_net(DIMS, 6);
    let sizes = Sizes::default();
    let need = net.layout().total();
    let error = PolicyNet::new(DIMS, sizes, 0.0, &net.params()[1..]).unwrap_err();
    assert_eq!(error, NetError::Length { got: need - 1, need });
    let mut params = net.params().to_vec();
    params[net.layout().entry("job.1.w").unwrap().offset + 5] = f32::NAN;
    let error = PolicyNet::new(DIMS, sizes, 0.0, &params).unwrap_err();
    assert_eq!(error.to_string(), "weight 5 of `job.1.w` is NaN");
    let error = PolicyNet::new(DIMS, Sizes { wait: 0, ..sizes }, 0.0, &params).unwrap_err();
    assert_eq!(error, NetError::ZeroWidth("wait"));
}

/// Prints the time of a decision: `cargo test --release -p yardmaster-agent --lib -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let net = random_net(DIMS, 3);
    let mut scratch = Scratch::default();
    for (jobs, nodes, pairs) in [(32, 6, 64), (20, 6, 40)] {
        let obs = observation(&DIMS, jobs, nodes, pairs, 1);
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let start = std::time::Instant::now();
            for _ in 0..1000 {
                std::hint::black_box(net.logits(std::hint::black_box(&obs), Some(2), &mut scratch));
            }
            best = best.min(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("{jobs} jobs, {nodes} nodes, {pairs} candidates: {best:.2} us");
    }
}
