//! One server that serves Poisson arrivals in batches, solved as a Markov chain: an oracle of our own.
//!
//! The chain is the number of requests that wait when a service ends. Its steps, by the rule "hold until `k` wait, then
//! serve the largest size of the table that they fill", are exact; the mean latency follows by renewal reward and
//! Little's law. Only the tail of the queue and of the Poisson law are cut off, at probabilities that do not matter.

/// Waiting requests that are told apart.
const STATES: usize = 700;

/// Mean latency in milliseconds; `sizes` are (batch, service time in milliseconds), ascending; arrivals are per
/// millisecond.
pub(crate) fn mean_latency_ms(rate: f64, sizes: &[(usize, f64)], hold: usize) -> f64 {
    let steps: Vec<Step> = (0..STATES).map(|waiting| Step::new(rate, sizes, hold, waiting)).collect();
    let laws: Vec<Vec<f64>> = sizes.iter().map(|&(_, time)| poisson(rate * time)).collect();
    let mut share = vec![0.0; STATES];
    share[0] = 1.0;
    let mut last = 0.0;
    loop {
        for _ in 0..100 {
            share = advance(&share, &steps, &laws);
        }
        let sum =
            |value: fn(&Step) -> f64| share.iter().zip(&steps).map(|(p, step)| p * value(step)).sum::<f64>();
        let latency = sum(|step| step.cost) / sum(|step| step.time) / rate;
        if (latency - last).abs() < 1e-7 {
            return latency;
        }
        last = latency;
    }
}

/// From the end of one service to the end of the next.
struct Step {
    /// Index into the sizes.
    size: usize,
    /// Requests left behind.
    left: usize,
    /// Expected length.
    time: f64,
    /// Expected integral of the number of requests in the system.
    cost: f64,
}

impl Step {
    fn new(rate: f64, sizes: &[(usize, f64)], hold: usize, waiting: usize) -> Step {
        let start = waiting.max(hold);
        let size = sizes.iter().rposition(|&(batch, _)| batch <= start).unwrap();
        let (batch, service) = sizes[size];
        let held: usize = (waiting..start).sum();
        Step {
            size,
            left: start - batch,
            time: (start - waiting) as f64 / rate + service,
            cost: held as f64 / rate + start as f64 * service + rate * service * service / 2.0,
        }
    }
}

fn advance(share: &[f64], steps: &[Step], laws: &[Vec<f64>]) -> Vec<f64> {
    let mut next = vec![0.0; STATES];
    for (p, step) in share.iter().zip(steps).filter(|(p, _)| **p > 1e-16) {
        for (arrivals, q) in laws[step.size].iter().enumerate() {
            next[(step.left + arrivals).min(STATES - 1)] += p * q;
        }
    }
    let total: f64 = next.iter().sum();
    next.iter_mut().for_each(|p| *p /= total);
    next
}

/// Probabilities of 0, 1, ... arrivals.
fn poisson(mean: f64) -> Vec<f64> {
    let most = (mean + 10.0 * mean.sqrt() + 20.0) as usize;
    let first = (-mean).exp();
    (1..=most).scan(first, |p, count| Some(std::mem::replace(p, *p * mean / count as f64))).collect()
}
