//! The best schedule of what waits now, as an assignment of jobs to devices and places in line.
//!
//! Without arrivals to come, the sum of completion times on unrelated machines is an assignment problem (Horn 1973; Bruno,
//! Coffman and Sethi 1974): a job that is `p`-th from the last on a device delays itself and the `p - 1` behind it, and so
//! costs `release + p * time`. A gang takes that of each of its devices. Arrivals to come are behind everybody: their
//! delay is counted at the price of a second on that kind (see [`Prices`]) times `ahead`, the number of jobs that would
//! wait behind a busy device. The schedule is made anew at each moment; only its first starts are carried out.
//!
//! Where jobs may be preempted, those that run on one device can be part of the schedule. They stay where they are unless
//! the new schedule, all restarts included, has the lesser sum.

use yardmaster_env::releases::Releases;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{JobId, Span, Time};
use yardmaster_env::view::{Decision, Discipline, Running, View};

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
    overdue: f64,
    prices: Prices,
    releases: Releases,
    /// Whether what runs is part of the schedule.
    replan: bool,
    plan: Plan,
    /// For requests, batch queues, and where waiting is not allowed.
    others: EarliestCompletion,
}

/// What is to be done in a moment.
#[derive(Clone, Debug, Default)]
struct Plan {
    moment: Option<Time>,
    /// Runs to cut off.
    cuts: Vec<u64>,
    /// What starts then, last first; unknown until it has been cut off.
    starts: Option<Vec<(JobId, KindSlot)>>,
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
    /// What runs on it, if that is part of the schedule.
    run: Option<u64>,
}

/// Who is where in line.
struct Schedule {
    places: Vec<Place>,
    /// The place of each row.
    chosen: Vec<usize>,
    /// What it costs.
    sum: f64,
}

/// A job of the schedule.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    work: Work,
    /// Where it runs.
    run: Option<&'a Running>,
}

impl Matching {
    /// With `ahead` jobs to come behind each device; what outlives its estimate is expected to go on for `overdue` times
    /// as long as it has run.
    pub fn new(
        name: impl Into<String>,
        ahead: f64,
        overdue: f64,
        replan: bool,
        batching: Batching,
    ) -> Matching {
        let (prices, releases) = (Prices::default(), Releases::default());
        let others = EarliestCompletion::mct(name, batching);
        Matching { ahead, overdue, prices, releases, replan, plan: Plan::default(), others }
    }

    /// The jobs that start now, last first.
    fn schedule(&mut self, view: &View<'_>) -> Vec<(JobId, KindSlot)> {
        self.releases.fill_with(view, self.overdue);
        let rows: Vec<Row<'_>> = shortest(view);
        let Some(Schedule { places, chosen, .. }) = self.solve(view, &rows) else { return Vec::new() };
        let leads = leaders(&chosen, &places);
        let starts = chosen.iter().enumerate().filter_map(|(job, &place)| {
            let Place { slot, device, release, .. } = places[place];
            (leads[device] == Some(job) && release <= 0.0).then_some((rows[job].work.job, slot))
        });
        let mut starts: Vec<(JobId, KindSlot)> = starts.collect();
        starts.reverse();
        starts
    }

    /// The runs that a better schedule would cut off.
    fn cuts(&mut self, view: &View<'_>) -> Vec<u64> {
        let allowed = self.replan && view.rules.preempt && view.discipline == Discipline::Free;
        let runs = if allowed { movable(view) } else { Vec::new() };
        // Both schedules are of no use where nothing can be moved, and too slow for very many.
        if runs.is_empty() || runs.len() > JOBS {
            return Vec::new();
        }
        self.releases.fill_with(view, self.overdue);
        let waits = shortest(view);
        let staying = self.staying(view, &waits, &runs);
        let rows: Vec<Row<'_>> = waits.into_iter().chain(runs).collect();
        let found = staying.zip(self.solve(view, &rows));
        let Some((staying, Schedule { places, chosen, sum })) = found else { return Vec::new() };
        let leads = leaders(&chosen, &places);
        let (mut cuts, mut restarts) = (Vec::new(), 0.0);
        for (at, row) in rows.iter().enumerate() {
            let Some(run) = row.run else { continue };
            let Place { run: here, behind, .. } = places[chosen[at]];
            let own = places.iter().find(|place| place.run == Some(run.sequence));
            if own.is_some_and(|own| leads[own.device] == Some(at)) {
                continue;
            }
            cuts.push(run.sequence);
            if here == Some(run.sequence) {
                // It goes on here, but not at once: its restart delays it and all behind it.
                restarts +=
                    view.rules.resume.restarts.of(view.job(row.work.job)).as_secs_f64() * (1.0 + behind);
            }
        }
        if sum + restarts < staying { cuts } else { Vec::new() }
    }

    /// The sum of the best schedule in which what runs stays where it is.
    fn staying(&self, view: &View<'_>, waits: &[Row<'_>], runs: &[Row<'_>]) -> Option<f64> {
        let kept = |row: &Row<'_>| {
            let slot = row.run.map_or(0, |run| run.slot);
            row.time(view, slot, true).unwrap_or(0.0) * (1.0 + self.ahead * self.prices.of(slot))
        };
        let waiting = if waits.is_empty() { 0.0 } else { self.solve(view, waits)?.sum };
        Some(waiting + runs.iter().map(kept).sum::<f64>())
    }

    /// The best schedule of the rows; `None` without rows, or if there are too few devices for them.
    fn solve(&self, view: &View<'_>, rows: &[Row<'_>]) -> Option<Schedule> {
        let places = self.places(view, rows);
        if rows.is_empty() || places.len() < rows.len() {
            return None;
        }
        let costs = self.costs(view, rows, &places);
        let chosen = assign(&costs, places.len());
        let sum = chosen.iter().enumerate().map(|(row, place)| costs[row * places.len() + place]).sum();
        Some(Schedule { places, chosen, sum })
    }

    /// Places in line of every device, more than enough for the rows.
    fn places(&self, view: &View<'_>, rows: &[Row<'_>]) -> Vec<Place> {
        let total: u32 = view.in_service.iter().sum();
        let jobs = rows.len();
        let deep = (2 * jobs).div_ceil(total.max(1) as usize) + 1;
        let (mut places, mut device) = (Vec::new(), 0);
        let mut add = |slot, release, run| {
            places.extend((0..deep).map(|behind| Place {
                slot,
                device,
                release,
                behind: behind as f64,
                run,
            }));
            device += 1;
        };
        for slot in 0..view.timing.kinds() {
            let mut room = 2 * jobs;
            for run in rows.iter().filter_map(|row| row.run).filter(|run| run.slot == slot) {
                add(slot, 0.0, Some(run.sequence));
            }
            let free = std::iter::repeat_n(0.0, view.free_by_kind[slot] as usize);
            for release in free.chain(self.busy(view, slot, rows)) {
                // One that is free for more than all jobs is as good as another.
                if room > 0 {
                    add(slot, release, None);
                    room -= 1;
                }
            }
        }
        places
    }

    /// In how many seconds each busy device of a kind should come free; those of the rows, as the schedule says.
    fn busy(&self, view: &View<'_>, slot: KindSlot, rows: &[Row<'_>]) -> Vec<f64> {
        if rows.iter().all(|row| row.run.is_none()) {
            let ends = self.releases.ends(slot).iter();
            let ends = ends.map(|&(end, devices)| (end.since(view.now).as_secs_f64(), devices));
            return ends.flat_map(|(end, devices)| std::iter::repeat_n(end, devices as usize)).collect();
        }
        let is_row = |run: &Running| {
            rows.iter().any(|row| row.run.is_some_and(|other| other.sequence == run.sequence))
        };
        let runs = view.running.iter().filter(|run| run.slot == slot && !is_row(run));
        let ends = runs.flat_map(|run| std::iter::repeat_n(view.left_of(run), run.devices() as usize));
        let mut ends: Vec<Span> = ends.collect();
        ends.sort_unstable();
        ends.into_iter().map(Span::as_secs_f64).collect()
    }

    /// (rows, places): what each job costs in each place; huge where it does not run.
    fn costs(&self, view: &View<'_>, rows: &[Row<'_>], places: &[Place]) -> Vec<f64> {
        let mut costs = Vec::with_capacity(rows.len() * places.len());
        for row in rows {
            let gang = view.job(row.work.job).gang;
            let free = rows.iter().any(|row| row.run.is_some());
            let on_kind = |slot: KindSlot| {
                let wait = if free && gang == 1 { Span::ZERO } else { self.releases.wait(slot, gang)? };
                Some((wait.as_secs_f64(), row.time(view, slot, false)?))
            };
            let times: Vec<Option<(f64, f64)>> = (0..view.timing.kinds()).map(on_kind).collect();
            costs.extend(places.iter().map(|place| match times[place.slot] {
                Some((wait, time)) => {
                    let own = row.run.is_some_and(|run| place.run == Some(run.sequence));
                    let time = if own { row.time(view, place.slot, true).unwrap_or(time) } else { time };
                    let behind = place.behind + self.ahead * self.prices.of(place.slot);
                    place.release.max(wait) + time + behind * f64::from(gang) * time
                }
                None => NEVER,
            }));
        }
        costs
    }
}

impl Row<'_> {
    /// Seconds that the job takes on a kind; what runs pays its restart, unless it stays.
    fn time(&self, view: &View<'_>, slot: KindSlot, stays: bool) -> Option<f64> {
        let form = Form::own(view, self.work, slot)?;
        let Some(run) = self.run else { return Some((form.compute + form.setup).as_secs_f64()) };
        let here = Form::own(view, self.work, run.slot)?.compute;
        let part = view.left_of(run).as_secs_f64() / here.as_secs_f64().max(1e-9);
        let restart =
            view.rules.resume.restarts.of(view.job(self.work.job)) + view.setup_on(self.work.job, slot);
        let restart = if stays { Span::ZERO } else { restart };
        Some(form.compute.as_secs_f64() * part + restart.as_secs_f64())
    }
}

/// Who is first in line on each device.
fn leaders(chosen: &[usize], places: &[Place]) -> Vec<Option<usize>> {
    let mut first: Vec<Option<(f64, usize)>> = vec![None; places.len()];
    for (row, &place) in chosen.iter().enumerate() {
        let Place { device, behind, .. } = places[place];
        if first[device].is_none_or(|(most, _)| behind > most) {
            first[device] = Some((behind, row));
        }
    }
    first.into_iter().map(|first| first.map(|(_, row)| row)).collect()
}

/// More than any schedule costs, and little enough to be added up.
const NEVER: f64 = 1e15;

/// The shortest jobs that wait, in order of arrival.
fn shortest<'a>(view: &View<'a>) -> Vec<Row<'a>> {
    let mut works: Vec<Work> = view.queue.iter().map(|&job| Work { job, stream: None }).collect();
    if works.len() > JOBS {
        works.select_nth_unstable_by_key(JOBS, |work| (work.shortest(view), work.job));
        works.truncate(JOBS);
        works.sort_unstable_by_key(|work| work.job);
    }
    works.into_iter().map(|work| Row { work, run: None }).collect()
}

/// What runs on one device and can be cut off.
fn movable<'a>(view: &View<'a>) -> Vec<Row<'a>> {
    let moves = |run: &&Running| view.is_preemptible(run) && run.devices() == 1 && !run.fetching;
    let runs = view.running.iter().filter(moves);
    runs.map(|run| Row { work: Work { job: run.members[0], stream: None }, run: Some(run) }).collect()
}

impl Policy for Matching {
    fn name(&self) -> &str {
        self.others.name()
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        let mut fork = self.clone();
        fork.prices.fix();
        Some(Box::new(fork))
    }

    fn reset(&mut self, seed: u64) {
        self.others.reset(seed);
        self.prices.reset();
        self.plan = Plan::default();
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        let requests = view.streams.iter().any(|stream| !stream.queue.is_empty());
        if view.discipline.commits() || requests {
            return self.others.decide(view);
        }
        if self.plan.moment != Some(view.now) {
            self.prices.update(view);
            self.plan = Plan { moment: Some(view.now), cuts: self.cuts(view), starts: None };
        }
        if let Some(run) = self.plan.cuts.pop() {
            return Decision::Preempt { run };
        }
        let mut starts = match self.plan.starts.take() {
            Some(starts) => starts,
            None => self.schedule(view),
        };
        while let Some((job, slot)) = starts.pop() {
            let work = Work { job, stream: None };
            if view.queue.contains(&job) && work.fits(view, slot) {
                let form = Form::own(view, work, slot);
                if let Some(start) = form.and_then(|form| form.start(view, work, view.default_batch(job))) {
                    self.plan.starts = Some(starts);
                    return start;
                }
            }
        }
        self.plan.starts = Some(starts);
        if view.may_wait { Decision::Wait { until: None } } else { self.others.decide(view) }
    }
}
