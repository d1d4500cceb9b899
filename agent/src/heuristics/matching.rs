//! The best schedule of what waits now, as an assignment of jobs to devices and places in line.
//!
//! Without arrivals to come, the sum of completion times on unrelated machines is an assignment problem (Horn 1973; Bruno,
//! Coffman and Sethi 1974): a job that is `p`-th from the last on a device delays itself and the `p - 1` behind it, and so
//! costs `release + p * time`. A gang takes that of each of its devices. Arrivals to come are behind everybody: their
//! delay is counted at the price of a second on that kind (see [`Prices`]) times `ahead`, the number of jobs that would
//! wait behind a busy device. The schedule is made anew at each moment; only its first starts are carried out.

use yardmaster_env::releases::Releases;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{JobId, Time};
use yardmaster_env::view::{Decision, View};

use super::Work;
use super::assignment::assign;
use super::batching::Batching;
use super::completion::EarliestCompletion;
use super::prices::Prices;
use super::ways::Form;
use crate::policy::Policy;

/// Jobs that are looked at: the shortest ones.
const JOBS: usize = 48;

/// Starts what the best schedule of the queue starts now.
#[derive(Clone, Debug)]
pub struct Matching {
    ahead: f64,
    prices: Prices,
    releases: Releases,
    /// The moment that was planned for, and what is to start in it, last first.
    plan: (Option<Time>, Vec<(JobId, KindSlot)>),
    /// For requests, batch queues, and where waiting is not allowed.
    others: EarliestCompletion,
}

/// A place in line on a device.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: KindSlot,
    /// Tells the devices apart.
    device: usize,
    /// When it should be free, in seconds from now.
    release: f64,
    /// How many come after it.
    behind: f64,
}

impl Matching {
    /// With `ahead` jobs to come behind each device.
    pub fn new(name: impl Into<String>, ahead: f64, batching: Batching) -> Matching {
        let (prices, releases) = (Prices::default(), Releases::default());
        let others = EarliestCompletion::mct(name, batching);
        Matching { ahead, prices, releases, plan: (None, Vec::new()), others }
    }

    /// The jobs that start now, last first.
    fn schedule(&mut self, view: &View<'_>) -> Vec<(JobId, KindSlot)> {
        self.releases.fill(view);
        let works = shortest(view);
        let places = self.places(view, works.len());
        if works.is_empty() || places.len() < works.len() {
            return Vec::new();
        }
        let costs = self.costs(view, &works, &places);
        let chosen = assign(&costs, places.len());
        // Of each device, who is first in line.
        let mut first: Vec<Option<(f64, usize)>> = vec![None; places.len()];
        for (job, &place) in chosen.iter().enumerate() {
            let Place { device, behind, .. } = places[place];
            if first[device].is_none_or(|(most, _)| behind > most) {
                first[device] = Some((behind, job));
            }
        }
        let starts = chosen.iter().enumerate().filter_map(|(job, &place)| {
            let Place { slot, device, release, .. } = places[place];
            let leads = first[device].is_some_and(|(_, leader)| leader == job);
            (leads && release <= 0.0).then_some((works[job].job, slot))
        });
        let mut starts: Vec<(JobId, KindSlot)> = starts.collect();
        starts.reverse();
        starts
    }

    /// Places in line of every device, more than enough for so many jobs.
    fn places(&self, view: &View<'_>, jobs: usize) -> Vec<Place> {
        let total: u32 = view.in_service.iter().sum();
        let deep = (2 * jobs).div_ceil(total.max(1) as usize) + 1;
        let (mut places, mut device) = (Vec::new(), 0);
        for slot in 0..view.timing.kinds() {
            let free = std::iter::repeat_n(0.0, view.free_by_kind[slot] as usize);
            let busy = self.releases.ends(slot).iter().flat_map(|&(end, devices)| {
                std::iter::repeat_n(end.since(view.now).as_secs_f64(), devices as usize)
            });
            // One that is free for more than all jobs is as good as another.
            for release in free.chain(busy).take(2 * jobs) {
                places.extend((0..deep).map(|behind| Place { slot, device, release, behind: behind as f64 }));
                device += 1;
            }
        }
        places
    }

    /// (jobs, places): what each job costs in each place; huge where it does not run.
    fn costs(&self, view: &View<'_>, works: &[Work], places: &[Place]) -> Vec<f64> {
        let mut costs = Vec::with_capacity(works.len() * places.len());
        for &work in works {
            let gang = view.job(work.job).gang;
            let on_kind = |slot: KindSlot| {
                let form = Form::own(view, work, slot)?;
                let wait = self.releases.wait(slot, gang)?;
                Some((wait.as_secs_f64(), (form.compute + form.setup).as_secs_f64()))
            };
            let times: Vec<Option<(f64, f64)>> = (0..view.timing.kinds()).map(on_kind).collect();
            costs.extend(places.iter().map(|place| match times[place.slot] {
                Some((wait, time)) => {
                    let behind = place.behind + self.ahead * self.prices.of(place.slot);
                    place.release.max(wait) + time + behind * f64::from(gang) * time
                }
                None => NEVER,
            }));
        }
        costs
    }
}

/// More than any schedule costs, and little enough to be added up.
const NEVER: f64 = 1e15;

/// The shortest jobs that wait, in order of arrival.
fn shortest(view: &View<'_>) -> Vec<Work> {
    let mut works: Vec<Work> = view.queue.iter().map(|&job| Work { job, stream: None }).collect();
    if works.len() > JOBS {
        works.select_nth_unstable_by_key(JOBS, |work| (work.shortest(view), work.job));
        works.truncate(JOBS);
        works.sort_unstable_by_key(|work| work.job);
    }
    works
}

impl Policy for Matching {
    fn name(&self) -> &str {
        self.others.name()
    }

    fn reset(&mut self, seed: u64) {
        self.others.reset(seed);
        self.prices.reset();
        self.plan = (None, Vec::new());
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        let requests = view.streams.iter().any(|stream| !stream.queue.is_empty());
        if view.discipline.commits() || requests {
            return self.others.decide(view);
        }
        if self.plan.0 != Some(view.now) {
            self.prices.update(view);
            self.plan = (Some(view.now), self.schedule(view));
        }
        while let Some((job, slot)) = self.plan.1.pop() {
            let work = Work { job, stream: None };
            if view.queue.contains(&job) && work.fits(view, slot) {
                let start = Form::own(view, work, slot)
                    .and_then(|form| form.start(view, work, view.default_batch(job)));
                if let Some(start) = start {
                    return start;
                }
            }
        }
        if view.may_wait { Decision::Wait { until: None } } else { self.others.decide(view) }
    }
}
