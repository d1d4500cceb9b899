//! Why a world cannot be simulated.

/// A world that cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// The batch-queue disciplines know one pool of alike devices.
    #[error(
        "discipline commit needs nodes of one device kind, the cluster has {kinds}: use the discipline free"
    )]
    CommitNeedsOneKind {
        /// Kinds in the cluster.
        kinds: usize,
    },
    /// Inference requests need to be batched, which the batch-queue disciplines cannot.
    #[error("discipline commit cannot serve inference requests: use the discipline free")]
    CommitNeedsJobs,
    /// A batch of requests cannot be cut off and resumed.
    #[error("discipline rounds cannot serve inference requests: use the discipline free")]
    RoundsNeedJobs,
    /// A round of no length would last for ever.
    #[error("the round has no length: make it longer than 0 s")]
    NoQuantum,
    /// No devices at all.
    #[error("the cluster has no devices")]
    NoDevices,
    /// Completion times are told in this unit.
    #[error("scale_s of the objective must be a number above 0")]
    NoScale,
    /// A policy that waits would be asked again at the same moment, for ever.
    #[error("the longest hold is 0: leave it out or make it longer")]
    NoHold,
    /// Dropping must cost something.
    #[error("late requests cannot be dropped by the objective {objective}: use misses, which counts them")]
    DropsCostNothing {
        /// The objective.
        objective: &'static str,
    },
    /// Only `free` knows what the rules are about.
    #[error("preemption, machines that come and go, and spread gangs need the discipline free")]
    RulesNeedFree,
    /// Each node needs its cache and links.
    #[error("data is described for {described} nodes, which are not those of the cluster")]
    DataOfOtherNodes {
        /// How many are described.
        described: usize,
    },
    /// What a job reads or writes.
    #[error("job {label} reads or writes an artefact that is not described")]
    UnknownArtefact {
        /// Its number in the trace.
        label: u64,
    },
    /// A model that could never be loaded.
    #[error(
        "a model of {bytes} bytes is served on node {node:?}, whose devices have {memory}: give it more memory"
    )]
    ModelTooLarge {
        /// The node.
        node: String,
        /// Size of the model.
        bytes: u64,
        /// Memory of a device.
        memory: u64,
    },
    /// A rule that cannot be followed.
    #[error(
        "an autoscaling rule names a node that is not there, or lets 0 jobs wait: the number must be above 0"
    )]
    BadAutoscale,
    /// A change of no machine.
    #[error("a machine that changes is not there: node {node}")]
    BadChange {
        /// Its number.
        node: u32,
    },
    /// Machines change in order of time.
    #[error("the changes of machines are not in order of time")]
    ChangesOutOfOrder,
    /// A job that would wait for ever.
    #[error(
        "job {label} finds too few devices once all machines have failed or left that will: let some join again"
    )]
    Stranded {
        /// Its number in the trace.
        label: u64,
    },
    /// A pipeline in disorder.
    #[error("job {label} is a stage after one that is submitted later, or not at all")]
    StageBeforeItsTime {
        /// Its number in the trace.
        label: u64,
    },
    /// A job that no placement or no cost could be given for.
    #[error("job {label} has {what}: a gang is at least 1 device, a weight a number from 0")]
    BadJob {
        /// Its number in the trace.
        label: u64,
        /// What is wrong with it.
        what: String,
    },
}
