//! Decisions about a snapshot: told in the sender's names, and carried out on it.

use serde::{Deserialize, Serialize};

use super::{ShareState, Snapshot};
use crate::catalog::Catalog;
use crate::sim::{Illegal, check};
use crate::units::{JobId, Time};
use crate::view::{Decision, Discipline, Placement, Portion, Running, Share};

/// A decision in the names of the snapshot that it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Told {
    /// A job, or a batch of the oldest requests of a stream, begins.
    Start {
        /// The job, or all requests of the batch.
        jobs: Vec<u64>,
        /// Where.
        nodes: Vec<ShareState>,
        /// Requests served together; a training job's batch; 1 for a rigid job.
        batch: u32,
        /// Which of the stream's variants serves, 0 for the reference.
        variant: u16,
    },
    /// A batch queue's next job is the first of these.
    Reserve {
        /// They move to the front of the queue in this order.
        order: Vec<u64>,
    },
    /// Time slices are shared out.
    Allocate {
        /// Job, kind and share from 0 to 1.
        portions: Vec<(u64, String, f64)>,
        /// Whether devices that are left over go to jobs without a share there.
        fill: bool,
    },
    /// A run is cut off.
    Preempt {
        /// Its sequence.
        run: u64,
        /// The job that runs.
        jobs: Vec<u64>,
    },
    /// Nothing more begins for now.
    Wait {
        /// When to ask again at the latest; at the next event if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        until_ns: Option<u64>,
    },
}

impl Snapshot {
    /// A decision in the sender's names. It must be legal here.
    pub fn tell(&self, decision: &Decision) -> Told {
        let ids = |jobs: &[JobId]| jobs.iter().map(|&job| self.id(job)).collect();
        match decision {
            Decision::Start { job, nodes, batch, variant } => Told::Start {
                jobs: ids(&self.members(*job, *batch)),
                nodes: self.shares(nodes),
                batch: *batch,
                variant: *variant,
            },
            Decision::Reserve { order } => Told::Reserve { order: ids(order) },
            Decision::Allocate { portions, fill } => Told::Allocate {
                portions: portions
                    .iter()
                    .map(|portion| {
                        (self.id(portion.job), self.site.kind(portion.slot).to_owned(), portion.share)
                    })
                    .collect(),
                fill: *fill,
            },
            Decision::Preempt { run } => {
                let found = self.running.iter().find(|running| running.sequence == *run);
                Told::Preempt {
                    run: *run,
                    jobs: found.map(|running| ids(&running.members)).unwrap_or_default(),
                }
            }
            Decision::Wait { until } => Told::Wait { until_ns: until.map(|until| until.0) },
        }
    }

    /// A decision that was told in the sender's names; `None` where it names what is not here.
    pub fn hear(&self, told: &Told) -> Option<Decision> {
        let job = |id: u64| Some(JobId(self.ids.iter().position(|known| *known == id)? as u32));
        let no_field = String::new;
        match told {
            Told::Start { jobs, nodes, batch, variant } => {
                let share = |share: &ShareState| {
                    let node = self.site.node(&share.node, no_field).ok()?;
                    Some(Share { node, devices: share.devices })
                };
                let nodes = nodes.iter().map(share).collect::<Option<Placement>>()?;
                Some(Decision::Start { job: job(*jobs.first()?)?, nodes, batch: *batch, variant: *variant })
            }
            Told::Reserve { order } => {
                Some(Decision::Reserve { order: order.iter().map(|&id| job(id)).collect::<Option<_>>()? })
            }
            Told::Allocate { portions, fill } => {
                let portion = |(id, kind, share): &(u64, String, f64)| {
                    Some(Portion {
                        job: job(*id)?,
                        slot: self.site.slot(kind, no_field).ok()?,
                        share: *share,
                    })
                };
                Some(Decision::Allocate {
                    portions: portions.iter().map(portion).collect::<Option<_>>()?,
                    fill: *fill,
                })
            }
            Told::Preempt { run, .. } => Some(Decision::Preempt { run: *run }),
            Told::Wait { until_ns } => Some(Decision::Wait { until: until_ns.map(Time) }),
        }
    }

    /// Whether a decision may be carried out here, whoever made it.
    ///
    /// # Errors
    /// What is illegal about it.
    pub fn check(&self, decision: &Decision) -> Result<(), Illegal> {
        check(&self.view(), decision)
    }

    /// Carries a start out as far as a snapshot can, so that the next decision of the same moment can be made. `false`,
    /// and nothing has changed, for any other decision, and where what is to come cannot be told here: under other
    /// disciplines than `free`, and where data has to move or models to be loaded.
    ///
    /// # Errors
    /// An illegal decision.
    pub fn carry_out(&mut self, decision: &Decision) -> Result<bool, Illegal> {
        self.check(decision)?;
        let Decision::Start { job, nodes, batch, variant } = decision else { return Ok(false) };
        let told = self.site.discipline() == Discipline::Free && self.data.is_none() && self.loads.is_none();
        let Some(takes) = self.takes(*job, nodes, *batch, *variant).filter(|_| told) else {
            return Ok(false);
        };
        let members = self.members(*job, *batch);
        match self.jobs[job.index()].request_model() {
            None => self.queue.retain(|waiting| waiting != job),
            Some(model) => {
                let streams = self.streams.iter_mut().filter(|stream| stream.model == model);
                streams.for_each(|stream| stream.queue.retain(|waiting| !members.contains(waiting)));
            }
        }
        let slot = self.view().slot_of(nodes[0].node);
        for share in nodes {
            self.free[share.node.index()] -= share.devices;
            self.free_by_kind[slot] -= share.devices;
        }
        self.running.push(Running {
            members: members.into_iter().collect(),
            batch: *batch,
            variant: *variant,
            start: self.now,
            ready: self.now,
            fetching: false,
            expected_finish: takes,
            nodes: nodes.clone(),
            slot,
            sequence: self.running.last().map_or(0, |run| run.sequence + 1),
        });
        self.may_wait = true;
        Ok(true)
    }

    /// Whether anything that waits could start on a device that is free.
    pub fn has_choice(&self) -> bool {
        let view = self.view();
        let heads = self.streams.iter().filter_map(|stream| stream.queue.first());
        let heads = heads.filter_map(|job| self.timing.stream_of(view.job(*job).request_model()?));
        let served = |stream: usize| {
            (0..self.free_by_kind.len())
                .any(|slot| self.free_by_kind[slot] > 0 && self.timing.is_served(stream, slot))
        };
        let starts = |job: &JobId| {
            let gang = |slot| self.timing.least_gang(job.index(), view.job(*job), slot);
            (0..self.free_by_kind.len())
                .any(|slot| gang(slot).is_some_and(|gang| gang <= self.free_by_kind[slot]))
        };
        heads.into_iter().any(served) || self.queue.iter().any(starts)
    }

    /// When it should be finished if it starts now.
    fn takes(&self, job: JobId, nodes: &Placement, batch: u32, variant: u16) -> Option<Time> {
        let view = self.view();
        let slot = view.slot_of(nodes.first()?.node);
        let span = match view.job(job).request_model() {
            Some(model) => self.timing.variant_batch(self.timing.stream_of(model)?, variant, slot, batch)?,
            None => {
                let gang: u32 = nodes.iter().map(|share| share.devices).sum();
                let way = view.ways(job).find(|way| way.choice.gang == gang && way.choice.batch == batch);
                match way {
                    Some(way) => view.estimate_way(job, way, slot)?,
                    None => view.estimate(job, slot)?,
                }
            }
        };
        Some(self.now + span)
    }

    /// The requests of a batch, the oldest first; a job alone.
    fn members(&self, job: JobId, batch: u32) -> Vec<JobId> {
        let model = self.jobs[job.index()].request_model();
        let stream = self.streams.iter().find(|stream| Some(stream.model) == model);
        match stream {
            Some(stream) => stream.queue.iter().copied().take(batch as usize).collect(),
            None => vec![job],
        }
    }

    fn shares(&self, nodes: &Placement) -> Vec<ShareState> {
        let name = |node: crate::units::NodeId| self.site.cluster().node(node).name.clone();
        nodes.iter().map(|share| ShareState { node: name(share.node), devices: share.devices }).collect()
    }

    /// What a job computes, in one word.
    pub fn what(&self, job: JobId) -> String {
        match self.jobs[job.index()].task {
            crate::job::Task::Rigid { .. } => "rigid".to_owned(),
            crate::job::Task::Steps { .. } => "steps".to_owned(),
            crate::job::Task::Training { model, .. } => Catalog::builtin().training_model(model).name.clone(),
            crate::job::Task::Request { model } => {
                self.timing.stream_of(model).map_or_else(String::new, |at| self.site.model(at).to_owned())
            }
        }
    }
}
