//! What is simulated, checked as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Rates, WorldError};
use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::data::{DataPlane, DataSpec};
use crate::job::{Job, Workload};
use crate::loads::{LoadRules, Loads, ModelBatch};
use crate::objective::Objective;
use crate::rules::{Change, Prices, Rules};
use crate::serving::{Batches, Late, Serving};
use crate::timing::{KindSlot, MemoryRules, Timing};
use crate::units::{InferenceId, JobId, NodeId, Span};
use crate::view::{Discipline, Placement, Share, slot_of};

/// What is simulated; shared by all simulations of the same episode.
#[derive(Clone, Debug)]
pub struct World {
    /// The machines.
    pub cluster: Cluster,
    /// What arrives, and the truth about it.
    pub workload: Workload,
    /// Estimated service times.
    pub timing: Timing,
    /// How decisions are carried out.
    pub discipline: Discipline,
    /// What a schedule costs.
    pub objective: Objective,
    /// After a wait without a moment the policy is asked again no later than this.
    pub hold: Option<Span>,
    /// Discipline `rounds`: how long a round is, and an allocation stands.
    pub rounds: RoundRules,
    /// Which batch sizes there are, and what becomes of late requests.
    pub serving: Serving,
    /// What may happen to what has been started.
    pub rules: Rules,
    /// What devices draw and cost, by kind slot.
    pub rates: Vec<Rates>,
    /// Where data is and how it moves; the artefacts are those of the jobs' inputs.
    pub data: Option<Arc<DataSpec>>,
    /// How models come onto devices.
    pub loads: Option<LoadRules>,
    /// What becomes of jobs that need too much memory, if that matters.
    pub memory: Option<MemoryRules>,
    /// The stages that follow a stage of a pipeline.
    next: BTreeMap<JobId, Vec<JobId>>,
}

/// Durations of the discipline `rounds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundRules {
    /// How long a slice lasts at most.
    pub quantum: Span,
    /// How long an allocation stands at least.
    pub reallocate: Span,
}

impl Default for RoundRules {
    /// 360 s and 1,920 s, as published for Gavel (OSDI'20).
    fn default() -> RoundRules {
        RoundRules { quantum: Span::from_secs(360), reallocate: Span::from_secs(1_920) }
    }
}

impl World {
    /// Builds the timing table and checks that the parts go together.
    pub fn new(
        catalog: &Catalog,
        cluster: Cluster,
        workload: Workload,
        discipline: Discipline,
        objective: Objective,
        hold: Option<Span>,
    ) -> Result<World, WorldError> {
        if cluster.devices() == 0 {
            return Err(WorldError::NoDevices);
        }
        if matches!(objective, Objective::Shared { scale_s, .. } if !(scale_s > 0.0 && scale_s.is_finite())) {
            return Err(WorldError::NoScale);
        }
        if hold == Some(Span::ZERO) {
            return Err(WorldError::NoHold);
        }
        workload.jobs.iter().try_for_each(check_job)?;
        let next = stages(&workload)?;
        let timing = Timing::of(catalog, &cluster, &workload);
        if discipline == Discipline::Rounds && timing.models().len() > 0 {
            return Err(WorldError::RoundsNeedJobs);
        }
        if discipline.commits() {
            if cluster.kinds().len() != 1 {
                return Err(WorldError::CommitNeedsOneKind { kinds: cluster.kinds().len() });
            }
            if timing.models().len() > 0 {
                return Err(WorldError::CommitNeedsJobs);
            }
        }
        let (rounds, serving, rules) = Default::default();
        let rates = Rates::of(catalog, &cluster);
        let world = World {
            cluster,
            workload,
            timing,
            discipline,
            objective,
            hold,
            rounds,
            serving,
            rules,
            rates,
            data: None,
            loads: None,
            memory: None,
            next,
        };
        world.check_changes()?;
        Ok(world)
    }

    /// A world of things as they are, under `free`: nothing is derived, as the table of times is given. `None` if a stage
    /// stands before the one that it follows.
    pub(super) fn bare(
        cluster: Cluster,
        workload: Workload,
        timing: Timing,
        objective: Objective,
        rules: Rules,
        data: Option<&DataPlane>,
    ) -> Option<World> {
        let (next, rates) = (stages(&workload).ok()?, Rates::of(Catalog::builtin(), &cluster));
        let data = data.map(|data| Arc::clone(data.spec()));
        let (discipline, rounds, serving) = Default::default();
        let (hold, loads, memory) = (None, None, None);
        Some(World {
            cluster,
            workload,
            timing,
            discipline,
            objective,
            hold,
            rounds,
            serving,
            rules,
            rates,
            data,
            loads,
            memory,
            next,
        })
    }

    /// The same world with other rules of serving; `catalog` is the one it was built with.
    ///
    /// # Errors
    /// Dropping, where the objective does not count misses.
    pub fn with_serving(mut self, catalog: &Catalog, serving: Serving) -> Result<World, WorldError> {
        let counted = matches!(self.objective, Objective::Misses { .. } | Objective::Shared { .. });
        if serving.late == Late::Drop && !counted {
            return Err(WorldError::DropsCostNothing { objective: self.objective.name() });
        }
        if serving.batches == Batches::Measured {
            self.timing.keep_measured_batches(catalog);
        }
        self.serving = serving;
        Ok(self)
    }

    /// The same world with other rounds.
    ///
    /// # Errors
    /// A quantum of 0.
    pub fn with_rounds(self, rounds: RoundRules) -> Result<World, WorldError> {
        if rounds.quantum == Span::ZERO { Err(WorldError::NoQuantum) } else { Ok(World { rounds, ..self }) }
    }

    /// The same world with rules for what has been started.
    ///
    /// # Errors
    /// Rules that the discipline cannot follow, or that name machines which are not there.
    pub fn with_rules(self, rules: Rules) -> Result<World, WorldError> {
        let plain = Rules { resume: rules.resume.clone(), prices: rules.prices, ..Rules::default() };
        if self.discipline != Discipline::Free && rules != plain {
            return Err(WorldError::RulesNeedFree);
        }
        for rule in &rules.autoscale {
            let known = |node: &NodeId| node.index() < self.cluster.nodes().len();
            if !(rule.waiting > 0.0 && rule.nodes.iter().all(known)) {
                return Err(WorldError::BadAutoscale);
            }
        }
        Ok(World { rules, ..self })
    }

    /// The same world with data that has to be where it is used.
    ///
    /// # Errors
    /// Another discipline than `free`; nodes or artefacts that are not described.
    pub fn with_data(self, data: DataSpec) -> Result<World, WorldError> {
        if self.discipline != Discipline::Free {
            return Err(WorldError::RulesNeedFree);
        }
        let setup = data.setup();
        if setup.nodes.len() != self.cluster.nodes().len() {
            return Err(WorldError::DataOfOtherNodes { described: setup.nodes.len() });
        }
        for job in &self.workload.jobs {
            let mut artefacts = job.inputs.iter().chain(&job.output);
            if artefacts.any(|artefact| artefact.index() >= setup.artefacts.len()) {
                return Err(WorldError::UnknownArtefact { label: job.label });
            }
        }
        Ok(World { data: Some(Arc::new(data)), ..self })
    }

    /// The same world with models that have to be loaded.
    ///
    /// # Errors
    /// Another discipline than `free`; a model that fits on no device that serves it; a device without memory.
    pub fn with_loads(mut self, loads: LoadRules) -> Result<World, WorldError> {
        if self.discipline != Discipline::Free {
            return Err(WorldError::RulesNeedFree);
        }
        let models: Vec<InferenceId> = self.timing.models().collect();
        for (stream, &model) in models.iter().enumerate() {
            for (at, node) in self.cluster.nodes().iter().enumerate() {
                let slot = self.slot_of(NodeId(at as u32));
                let served = self.timing.max_batch(stream, slot) > 0;
                let default = self.timing.default_variant(stream, slot);
                let variant = self.timing.catalog_variant(stream, default);
                let (bytes, memory) =
                    (loads.bytes(ModelBatch { model, variant, batch: 1 }), loads.memory(at));
                if served && bytes > memory {
                    return Err(WorldError::ModelTooLarge { node: node.name.clone(), bytes, memory });
                }
            }
        }
        let slots = (0..self.cluster.kinds().len()).map(|slot| {
            let here = self.cluster.nodes_of(slot).iter().map(|node| loads.memory(node.index()));
            here.min().unwrap_or(0)
        });
        let least: Vec<u64> = slots.collect();
        self.timing.keep_fitting_batches(|model, variant, slot, batch| {
            loads.bytes(ModelBatch { model, variant, batch }) <= least[slot]
        });
        Ok(World { loads: Some(loads), ..self })
    }

    /// The same world with devices of limited memory: training jobs may take smaller batches, are known not to fit in
    /// some places, and run out of memory where their true needs exceed the expected ones. The time until then is
    /// `fails_after`. `catalog` is the one it was built with.
    ///
    /// # Errors
    /// Another discipline than `free`.
    pub fn with_memory(mut self, catalog: &Catalog, fails_after: Span) -> Result<World, WorldError> {
        if self.discipline != Discipline::Free {
            return Err(WorldError::RulesNeedFree);
        }
        let bytes = self.cluster.kinds().iter().map(|&kind| catalog.device(kind).memory_bytes).collect();
        let memory = MemoryRules { bytes, fails_after };
        let Workload { jobs, truths, .. } = &self.workload;
        self.timing.limit_memory(catalog, jobs, &memory, |at| truths[at].memory_factor());
        Ok(World { memory: Some(memory), ..self })
    }

    /// Devices on which nothing is loaded yet.
    pub(super) fn new_loads(&self) -> Option<Loads> {
        let devices = self.cluster.nodes().iter().map(|node| node.devices);
        self.loads.clone().map(|rules| Loads::new(rules, devices))
    }

    /// What energy and money count in the objective: by what it is, and by the rules in addition.
    pub(super) fn prices(&self) -> Prices {
        self.objective.prices() + self.rules.prices
    }

    /// The same world with the jobs `[first, first + count)` alone; `catalog` is the one it was built with.
    ///
    /// # Errors
    /// Parts that do not go together without the other jobs.
    pub fn part(self, catalog: &Catalog, first: usize, count: usize) -> Result<World, WorldError> {
        let workload = self.workload.slice(first, count);
        let World { cluster, discipline, objective, hold, .. } = self;
        let mut world = World::new(catalog, cluster, workload, discipline, objective, hold)?
            .with_rounds(self.rounds)?
            .with_serving(catalog, self.serving)?
            .with_rules(self.rules)?;
        if let Some(memory) = self.memory {
            world = world.with_memory(catalog, memory.fails_after)?;
        }
        if let Some(loads) = self.loads {
            world = world.with_loads(loads)?;
        }
        match self.data {
            Some(data) => world.with_data(Arc::unwrap_or_clone(data)),
            None => Ok(world),
        }
    }

    /// The same world with another course of things.
    pub(super) fn with_course(
        &self,
        workload: Workload,
        timing: Timing,
        next: BTreeMap<JobId, Vec<JobId>>,
    ) -> World {
        World {
            cluster: self.cluster.clone(),
            workload,
            timing,
            discipline: self.discipline,
            objective: self.objective,
            hold: self.hold,
            rounds: self.rounds,
            serving: self.serving,
            rules: self.rules.clone(),
            rates: self.rates.clone(),
            data: self.data.clone(),
            loads: self.loads.clone(),
            memory: self.memory.clone(),
            next,
        }
    }

    /// Whether jobs can be cut off and go on later, so that their progress has to be kept.
    pub(super) fn keeps_progress(&self) -> bool {
        self.rules.preempt
            || self.memory.is_some()
            || !self.workload.changes.is_empty()
            || self.discipline == Discipline::Rounds
    }

    /// By what share a placement makes a run longer.
    pub fn spread(&self, nodes: &Placement) -> f64 {
        let Some(first) = nodes.first().filter(|_| nodes.len() > 1 && self.rules.spread.matters()) else {
            return 0.0;
        };
        let rack = |share: &Share| self.cluster.node(share.node).rack;
        let one_rack = nodes.iter().all(|share| rack(share) == rack(first));
        if one_rack { self.rules.spread.nodes } else { self.rules.spread.racks }
    }

    /// The kind slot of a node.
    pub(super) fn slot_of(&self, node: NodeId) -> KindSlot {
        slot_of(&self.cluster, node)
    }

    /// The stages that may start once this one has finished.
    pub(super) fn next_stages(&self, done: JobId) -> SmallVec<[JobId; 2]> {
        if self.next.is_empty() {
            return SmallVec::new();
        }
        self.next.get(&done).map(|next| SmallVec::from_slice(next)).unwrap_or_default()
    }

    /// Whether other stages follow, so that a pipeline has not ended with it.
    pub fn is_followed(&self, job: JobId) -> bool {
        self.next.contains_key(&job)
    }

    /// The shortest time from submission to completion on an empty cluster, the stages before included; 0 for what
    /// cannot be served.
    pub fn ideal(&self, id: JobId) -> Span {
        let own = self.shortest(id).unwrap_or(Span::ZERO);
        self.workload.jobs[id.index()].after.map_or(own, |before| self.ideal(before) + own)
    }

    /// Every job finds enough machines once all has happened to them that will.
    fn check_changes(&self) -> Result<(), WorldError> {
        let changes = &self.workload.changes;
        if changes.is_empty() {
            return Ok(());
        }
        if !changes.is_sorted_by_key(|change| change.at) {
            return Err(WorldError::ChangesOutOfOrder);
        }
        if self.discipline != Discipline::Free {
            return Err(WorldError::RulesNeedFree);
        }
        let mut up = vec![true; self.cluster.nodes().len()];
        for change in changes {
            let node =
                up.get_mut(change.node.index()).ok_or(WorldError::BadChange { node: change.node.0 })?;
            *node = change.change == Change::Join;
        }
        let mut left = vec![0; self.cluster.kinds().len()];
        for (at, node) in self.cluster.nodes().iter().enumerate().filter(|(at, _)| up[*at]) {
            left[self.slot_of(NodeId(at as u32))] += node.devices;
        }
        let jobs = 0..self.workload.len();
        let stranded = jobs
            .map(|at| JobId(at as u32))
            .find(|&id| self.shortest(id).is_some() && self.shortest_on(id, &left).is_none());
        match stranded {
            Some(id) => Err(WorldError::Stranded { label: self.workload.jobs[id.index()].label }),
            None => Ok(()),
        }
    }

    /// The shortest time in which the job can be served, on an empty cluster; `None` if it cannot be served at all.
    pub fn shortest(&self, id: JobId) -> Option<Span> {
        self.shortest_on(id, self.cluster.all_devices())
    }

    /// As [`World::shortest`], with so many devices of each kind.
    fn shortest_on(&self, id: JobId, devices: &[u32]) -> Option<Span> {
        let job = &self.workload.jobs[id.index()];
        let stream = job.request_model().and_then(|model| self.timing.stream_of(model));
        let slots = (0..self.timing.kinds()).filter(|&slot| devices[slot] >= job.gang);
        slots
            .filter_map(|slot| match stream {
                Some(stream) => {
                    let variants = 0..self.timing.variants(stream);
                    let spans =
                        variants.filter_map(|variant| self.timing.variant_batch(stream, variant, slot, 1));
                    spans.min()
                }
                None => self.timing.job(id.index(), slot),
            })
            .min()
    }
}

/// The stages that follow each stage.
pub(super) fn stages(workload: &Workload) -> Result<BTreeMap<JobId, Vec<JobId>>, WorldError> {
    let mut next: BTreeMap<JobId, Vec<JobId>> = BTreeMap::new();
    for (at, job) in workload.jobs.iter().enumerate() {
        let Some(before) = job.after else { continue };
        if before.index() >= at {
            return Err(WorldError::StageBeforeItsTime { label: job.label });
        }
        next.entry(before).or_default().push(JobId(at as u32));
    }
    Ok(next)
}

fn check_job(job: &Job) -> Result<(), WorldError> {
    let bad = |what| Err(WorldError::BadJob { label: job.label, what });
    if job.gang == 0 {
        return bad("a gang of 0".to_owned());
    }
    if !(job.weight >= 0.0 && job.weight.is_finite()) {
        return bad(format!("the weight {}", job.weight));
    }
    Ok(())
}
