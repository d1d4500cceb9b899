//! Where a look-ahead takes the futures from that it tries its decisions on.
//!
//! The next arrivals are those that followed a moment like this one, in other episodes of the scenario or in what has
//! been seen: a method of analogues (Lorenz, Journal of the Atmospheric Sciences 26, 1969). Moments are alike if as
//! many have arrived of late, over three spans of time, and the last arrival is as long ago. So a burst that has begun
//! is expected to last as long as bursts do, without anybody saying that there are bursts.

use std::sync::{Arc, OnceLock};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::forecast::{Forecast, SCALES};
use yardmaster_env::sim::{Arrival, World};
use yardmaster_env::spec::{Scenario, Split};
use yardmaster_env::units::{JobId, Span, Time};
use yardmaster_env::view::View;

/// Episodes that are known of a scenario. They are from the training split.
const EPISODES: u64 = 24;
/// Moments that are compared for each one that is taken.
const CHOICE: usize = 12;
/// Moments that are looked at to find them.
const LOOKS: usize = 40 * CHOICE;
/// Base seed of the episodes.
const BASE: u64 = 0x5ea2_c4ed;

/// One future, as [`yardmaster_env::sim::Future`] wants it.
pub struct Draw {
    /// The episode that jobs to come are taken from; `None` for what has been seen.
    pub episode: Option<Arc<World>>,
    /// The moment of it that is like the present.
    pub since: Time,
    /// Jobs to come.
    pub arrivals: Vec<Arrival>,
}

/// What may come.
#[derive(Clone)]
pub enum Futures {
    /// Other episodes of this scenario.
    Scenario(Arc<Library>),
    /// More of what has been seen in this episode.
    Seen,
}

/// Episodes of a scenario, made when they are first asked for.
pub struct Library {
    scenario: Scenario,
    episodes: OnceLock<Vec<Known>>,
}

/// An episode with what could be told at each of its arrivals.
struct Known {
    world: Arc<World>,
    /// Logarithms of the average rates just after each arrival.
    moments: Vec<Moment>,
}

type Moment = [f64; SCALES.len()];

impl Futures {
    /// Those of a scenario.
    pub fn of(scenario: &Scenario) -> Futures {
        let library = Library { scenario: scenario.clone(), episodes: OnceLock::new() };
        Futures::Scenario(Arc::new(library))
    }

    /// Draws a future of `horizon` arrivals, as far as known episodes go on so long.
    pub fn draw(&self, view: &View<'_>, horizon: usize, random: &mut Xoshiro256PlusPlus) -> Draw {
        match self {
            Futures::Scenario(library) => library.draw(view, horizon, random),
            Futures::Seen => seen(view, horizon, random),
        }
    }
}

impl Library {
    fn episodes(&self) -> &[Known] {
        self.episodes.get_or_init(|| {
            let seeds = (0..EPISODES).map(|number| Split::Train.seed(BASE, number));
            // A seed that gives no world, or nothing to do, is left out: there are others.
            let worlds = seeds.filter_map(|seed| self.scenario.world(seed).ok());
            worlds.filter(|world| !world.workload.is_empty()).map(Known::new).collect()
        })
    }

    fn draw(&self, view: &View<'_>, horizon: usize, random: &mut Xoshiro256PlusPlus) -> Draw {
        let present = moment(&view.history.forecast, view.now);
        let (episodes, elapsed) = (self.episodes(), elapsed(view));
        // Compared are moments after which nothing followed for as long as nothing has followed now: arrivals may come
        // in clusters, and most moments of other episodes lie in the middle of one. Of the others the longest gap.
        let mut best: Option<(f64, &Known, usize)> = None;
        let mut longest: Option<(Span, &Known, usize)> = None;
        let mut compared = 0;
        for _ in 0..LOOKS {
            let Some(known) = episodes.get(below(random, episodes.len())) else { break };
            let jobs = &known.world.workload.jobs;
            let last = jobs.len().saturating_sub(horizon.min(jobs.len() / 2)).max(1);
            let at = below(random, last);
            let gap = jobs.get(at + 1).map_or(Span::MAX, |next| next.arrival.since(jobs[at].arrival));
            if gap <= elapsed {
                if longest.is_none_or(|(most, ..)| gap > most) {
                    longest = Some((gap, known, at));
                }
                continue;
            }
            let distance = distance(&present, &known.moments[at]);
            if best.is_none_or(|(least, ..)| distance < least) {
                best = Some((distance, known, at));
            }
            compared += 1;
            if compared == CHOICE {
                break;
            }
        }
        let longest = || longest.map(|(_, known, at)| (known, at));
        let best = best.map(|(_, known, at)| (known, at)).or_else(longest);
        let Some((known, at)) = best else { return seen(view, horizon, random) };
        let jobs = &known.world.workload.jobs;
        let mut since = jobs[at].arrival + elapsed;
        if let Some(next) = jobs.get(at + 1).filter(|next| next.arrival < since) {
            since = next.arrival;
        }
        let next = (at + 1..jobs.len()).take(horizon);
        let arrivals = next
            .map(|at| Arrival { like: JobId(at as u32), at: view.now + jobs[at].arrival.since(since) })
            .collect();
        Draw { episode: Some(Arc::clone(&known.world)), since, arrivals }
    }
}

impl Known {
    fn new(world: World) -> Known {
        let streams = world.timing.models().len();
        let mut forecast = Forecast::new(streams);
        let moments = world.workload.jobs.iter().map(|job| {
            let stream = job.request_model().and_then(|model| world.timing.stream_of(model));
            forecast.arrive(job.arrival, stream);
            moment(&forecast, job.arrival)
        });
        Known { moments: moments.collect(), world: Arc::new(world) }
    }
}

/// Arrivals like those that have been seen, with gaps that have been seen, each drawn anew. If nothing has come for
/// longer than usual the gaps are as much longer; what has come at once only, before now, is taken for all there is.
fn seen(view: &View<'_>, horizon: usize, random: &mut Xoshiro256PlusPlus) -> Draw {
    let none = Draw { episode: None, since: view.now, arrivals: Vec::new() };
    let [first, .., last] = view.jobs else { return none };
    let gaps = view.jobs.len() - 1;
    let span = last.arrival.since(first.arrival).as_secs_f64();
    if span == 0.0 {
        return none;
    }
    let slower = (view.now.since(first.arrival).as_secs_f64() / span).max(1.0);
    let mut at = view.now;
    let arrivals = (0..horizon).map(|_| {
        let gap = below(random, gaps);
        at += view.jobs[gap + 1].arrival.since(view.jobs[gap].arrival).scaled(slower);
        Arrival { like: JobId(below(random, view.jobs.len()) as u32), at }
    });
    Draw { arrivals: arrivals.collect(), ..none }
}

fn moment(forecast: &Forecast, now: Time) -> Moment {
    forecast.averages(now, None).map(|rate| rate.max(1e-12).ln())
}

/// Squared differences in units of what chance makes of them: an average over n arrivals has a variance of about 1 / n.
fn distance(one: &Moment, other: &Moment) -> f64 {
    let terms = one.iter().zip(other).zip(SCALES);
    terms.map(|((one, other), scale)| (one - other).powi(2) * scale.min(64.0)).sum()
}

/// Since the last arrival.
fn elapsed(view: &View<'_>) -> Span {
    view.jobs.last().map_or(Span::ZERO, |job| view.now.since(job.arrival))
}

fn below(random: &mut Xoshiro256PlusPlus, count: usize) -> usize {
    let uniform = (random.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64);
    ((uniform * count as f64) as usize).min(count.saturating_sub(1))
}

/// The generator of one future of one decision.
pub fn generator(seed: u64, decision: u64, future: u64) -> Xoshiro256PlusPlus {
    use yardmaster_env::workload::derive_seed;
    Xoshiro256PlusPlus::seed_from_u64(derive_seed(derive_seed(seed, decision), future))
}
