//! The partition at one moment: which of its nodes are of use, and what is free on them.

use std::collections::BTreeMap;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::units::KindId;

use super::config::Config;
use super::jobs::{Ask, JobKey, Phase, Request, SlurmJob};
use super::nodes::SlurmNode;

/// What our remarks in AdminComment begin with. A job that waits for a place has one, whoever looks.
pub(super) const TAG: &str = "yardmaster:";

/// GPUs by place: indices into [`Site::places`], each once, with how many of its GPUs.
pub(super) type Nodes = Vec<(usize, u32)>;

/// Slurm's state, as read in one go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) jobs: Vec<SlurmJob>,
    pub(super) nodes: Vec<SlurmNode>,
}

/// A node that policies can use.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) kind: KindId,
    pub(super) gpus: u32,
    /// GPUs that are free and promised to nobody.
    pub(super) free: u32,
    pub(super) idle_cpus: u32,
    pub(super) free_memory_mib: u64,
    pub(super) features: Vec<String>,
    /// Whether it takes jobs now.
    pub(super) usable: bool,
}

/// GPUs of one node that a job has or is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    /// Index into [`State::jobs`].
    pub(super) job: usize,
    /// Index into [`Site::places`].
    pub(super) place: usize,
    pub(super) gpus: u32,
}

/// The partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Site {
    /// Nodes of the partition whose GPUs are of one known kind, in Slurm's order.
    pub(super) places: Vec<Place>,
    pub(super) holdings: Vec<Holding>,
    /// Nodes that are passed over, and why, each in one sentence.
    pub(super) ignored: Vec<String>,
}

impl Site {
    /// The partition of this name. What is in use is what jobs have: a node's own account (`gres_used`) goes wrong when
    /// slurmctld is restarted while jobs run (seen with 22.05), and never comes right again.
    pub(super) fn of(state: &State, partition: &str, config: &Config, catalog: &Catalog) -> Site {
        let mut site = Site::default();
        for node in state.nodes.iter().filter(|node| node.partitions.iter().any(|name| name == partition)) {
            match kind_of(node, config, catalog) {
                Ok(None) => {}
                Ok(Some((kind, gpus))) => site.places.push(Place::of(node, kind, gpus)),
                Err(why) => site.ignored.push(format!("node {}: {why}", node.name)),
            }
        }
        let by_name = site.places.iter().enumerate().map(|(at, place)| (place.name.clone(), at)).collect();
        site.occupy(state, &by_name, false);
        site.occupy(state, &by_name, true);
        site
    }

    /// Books what jobs have, or what they are promised, as far as there is room for it.
    fn occupy(&mut self, state: &State, by_name: &BTreeMap<String, usize>, promised: bool) {
        for (job, slurm) in state.jobs.iter().enumerate().filter(|(_, job)| is_promised(job) == promised) {
            for (place, gpus) in held_by(slurm, by_name) {
                let gpus = gpus.min(self.places[place].free);
                self.places[place].free -= gpus;
                if gpus > 0 {
                    self.holdings.push(Holding { job, place, gpus });
                }
            }
        }
    }

    /// The kinds of the partition, of nodes that are out of service too, ascending.
    pub(super) fn kinds(&self) -> Vec<KindId> {
        let mut kinds: Vec<KindId> = self.places.iter().map(|place| place.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Whether a job could ever be placed on nodes of a kind, were all of them up and empty.
    pub(super) fn could_hold(&self, request: &Request, kind: KindId) -> bool {
        let each = match &request.gpus {
            Ask::PerNode(gpus) => gpus.count,
            Ask::PerJob(gpus) if request.nodes == 1 => gpus.count,
            Ask::PerJob(_) => 1,
            Ask::Other | Ask::Nothing => return false,
        };
        let fits = |place: &&Place| place.kind == kind && place.gpus >= each && place.is_wanted(request);
        self.places.iter().filter(fits).count() >= request.nodes as usize
    }

    /// The nodes of a kind, with the GPUs on each, that a job would get: on `wanted` if its shape allows that. `None` if
    /// its shape does not fit what is free.
    pub(super) fn fit(&self, request: &Request, kind: KindId, wanted: &[(usize, u32)]) -> Option<Nodes> {
        let free = |at: usize, gpus: u32| {
            let place = &self.places[at];
            place.usable
                && place.kind == kind
                && place.free >= gpus
                && place.is_wanted(request)
                && place.has_room(request)
        };
        let (gpus, nodes) = (request_gpus(request)?, request.nodes);
        let each = match &request.gpus {
            Ask::PerNode(gpus) => gpus.count,
            _ if nodes == 1 => gpus,
            // So many over several nodes: as the policy shares them out, on at least so many nodes.
            _ => {
                let fits =
                    wanted.len() >= nodes as usize && wanted.iter().all(|&(at, share)| free(at, share));
                return fits.then(|| wanted.to_vec());
            }
        };
        let alike = wanted.len() == nodes as usize
            && wanted.iter().all(|&(at, share)| share == each && free(at, each));
        if alike {
            return Some(wanted.to_vec());
        }
        let mut places: Vec<usize> = (0..self.places.len()).filter(|&at| free(at, each)).collect();
        // Those that the policy named first, then the fullest, so that large gangs find room.
        places.sort_by_key(|&at| (!wanted.iter().any(|&(named, _)| named == at), self.places[at].free));
        places.truncate(nodes as usize);
        (places.len() == nodes as usize).then(|| places.into_iter().map(|at| (at, each)).collect())
    }

    /// Books a place for a job.
    pub(super) fn take(&mut self, request: &Request, nodes: &[(usize, u32)]) {
        for &(at, gpus) in nodes {
            let place = &mut self.places[at];
            place.free = place.free.saturating_sub(gpus);
            place.idle_cpus = place.idle_cpus.saturating_sub(request.cpus_per_node());
            place.free_memory_mib = place.free_memory_mib.saturating_sub(request.memory_mib);
        }
    }
}

impl Place {
    fn of(node: &SlurmNode, kind: KindId, gpus: u32) -> Place {
        Place {
            name: node.name.clone(),
            kind,
            gpus,
            free: gpus,
            idle_cpus: node.idle_cpus,
            free_memory_mib: node.free_memory_mib,
            features: node.features.clone(),
            usable: node.usable,
        }
    }

    /// Whether the job's owner allows this node.
    fn is_wanted(&self, request: &Request) -> bool {
        let excluded = request.excluded_nodes.contains(&self.name);
        let mut features = request.features.split('&').filter(|feature| !feature.is_empty());
        !excluded && features.all(|feature| self.features.iter().any(|own| own == feature))
    }

    /// Whether processors and memory are left for the job's part on this node.
    fn has_room(&self, request: &Request) -> bool {
        self.idle_cpus >= request.cpus_per_node() && self.free_memory_mib >= request.memory_mib
    }
}

/// How many GPUs a job asks for in all; `None` if it asks for none or in a way that is not understood.
pub(super) fn request_gpus(request: &Request) -> Option<u32> {
    match &request.gpus {
        Ask::PerNode(gpus) => gpus.count.checked_mul(request.nodes),
        Ask::PerJob(gpus) => Some(gpus.count),
        Ask::Other | Ask::Nothing => None,
    }
}

/// Whether we have released the job for a place where it has not started yet.
pub(super) fn is_promised(job: &SlurmJob) -> bool {
    job.phase == Phase::Pending && !job.request.required_nodes.is_empty() && job.admin_comment.contains(TAG)
}

/// A job by its name, among those in order of submission.
pub(super) fn find(jobs: &[SlurmJob], key: JobKey) -> Option<&SlurmJob> {
    jobs.iter().find(|job| job.key == key)
}

/// The kind of a node's GPUs and their number; `None` without GPUs.
fn kind_of(node: &SlurmNode, config: &Config, catalog: &Catalog) -> Result<Option<(KindId, u32)>, String> {
    let gpus = match node.gpus.as_slice() {
        [] => return Ok(None),
        [gpus] => gpus,
        several => return Err(format!("{} types of GPUs on one node are not placed", several.len())),
    };
    let kind = config.kind(&node.name, gpus.kind.as_deref(), catalog);
    kind.map(|kind| Some((kind, gpus.count))).ok_or_else(|| match &gpus.kind {
        Some(name) => {
            format!("GPU type {name:?} is no device of the catalogue; name one for it under [kinds]")
        }
        None => "its GPUs have no type; name a device for it under [nodes]".to_owned(),
    })
}

/// What a job has or is promised: (place, GPUs).
fn held_by(job: &SlurmJob, by_name: &BTreeMap<String, usize>) -> Nodes {
    let nodes = match job.phase {
        Phase::Active => &job.nodes,
        _ if is_promised(job) => &job.request.required_nodes,
        _ => return Vec::new(),
    };
    // Without a word on the devices, what was asked for is spread evenly.
    let even = request_gpus(&job.request).unwrap_or(0).div_ceil(nodes.len().max(1) as u32);
    let known = job.gpus_by_node.len() == nodes.len();
    let each = nodes.iter().enumerate().map(|(at, name)| {
        let gpus = if known { job.gpus_by_node[at] } else { even };
        by_name.get(name).map(|&place| (place, gpus))
    });
    each.flatten().collect()
}
