//! Nodes as `sinfo --json` lists them, or `scontrol show nodes --json` where that is the list.

use serde::Deserialize;

use super::error::SlurmError;
use super::gres::{self, Gpus};
use super::json::{Answer, Count, NodeList, Words};

/// A node of Slurm.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SlurmNode {
    /// Its name.
    pub(super) name: String,
    /// Its GPUs by type.
    pub(super) gpus: Vec<Gpus>,
    /// Whether it takes jobs.
    pub(super) usable: bool,
    /// The words for its state.
    pub(super) state: String,
    /// Processors that are free.
    pub(super) idle_cpus: u32,
    /// Memory that no job has, in MiB.
    pub(super) free_memory_mib: u64,
    /// What jobs may ask of it with `--constraint`.
    pub(super) features: Vec<String>,
    /// The partitions that it is in.
    pub(super) partitions: Vec<String>,
}

#[derive(Deserialize)]
struct RawNode {
    name: String,
    state: Words,
    #[serde(default)]
    state_flags: Words,
    #[serde(default)]
    gres: Words,
    #[serde(default)]
    cpus: Count,
    #[serde(default)]
    alloc_cpus: Count,
    #[serde(default)]
    real_memory: Count,
    #[serde(default)]
    alloc_memory: Count,
    #[serde(default)]
    active_features: Words,
    #[serde(default)]
    partitions: Words,
}

/// What a list of nodes says.
#[derive(Debug)]
pub(super) enum Listed {
    /// The nodes, and what could not be read, each in one sentence.
    Nodes(Vec<SlurmNode>, Vec<String>),
    /// This Slurm lists nodes with `scontrol show nodes --json`.
    Elsewhere,
}

/// The nodes in the answer of a command.
pub(super) fn parse(command: &str, text: &str) -> Result<Listed, SlurmError> {
    let NodeList::Nodes(values) = Answer::parse(command, text)?.nodes(command)? else {
        return Ok(Listed::Elsewhere);
    };
    let (mut nodes, mut unreadable) = (Vec::with_capacity(values.len()), Vec::new());
    for value in values {
        let name = value.get("name").map_or_else(|| "without a name".to_owned(), ToString::to_string);
        let read = serde_json::from_value::<RawNode>(value).map_err(|error| error.to_string());
        match read.and_then(RawNode::into_node) {
            Ok(node) => nodes.push(node),
            Err(why) => unreadable.push(format!("node {name} cannot be read: {why}")),
        }
    }
    Ok(Listed::Nodes(nodes, unreadable))
}

impl RawNode {
    fn into_node(self) -> Result<SlurmNode, String> {
        let list = self.gres.joined();
        let gpus = gres::parse(&list).ok_or_else(|| format!("gres {list:?}"))?;
        let alloc = self.alloc_cpus.or_zero();
        let state = [self.state.joined(), self.state_flags.joined()].join(",").to_uppercase();
        Ok(SlurmNode {
            usable: usable(&state),
            state: state.trim_end_matches(',').to_owned(),
            gpus: gpus.into_iter().filter(|gpus| gpus.count > 0).collect(),
            idle_cpus: self.cpus.or_zero().saturating_sub(alloc) as u32,
            free_memory_mib: self.real_memory.or_zero().saturating_sub(self.alloc_memory.or_zero()),
            features: list_of(&self.active_features),
            partitions: list_of(&self.partitions),
            name: self.name,
        })
    }
}

/// Whether a node in this state takes jobs: it is up, and nothing else is said of it than what leaves it so. A word that
/// is not known counts against it.
fn usable(state: &str) -> bool {
    let up = ["IDLE", "MIXED", "ALLOCATED"];
    let harmless = ["COMPLETING", "PLANNED", "CLOUD", "DYNAMIC_NORM", "DYNAMIC_FUTURE"];
    let mut words = state.split(',').filter(|word| !word.is_empty());
    state.split(',').any(|word| up.contains(&word))
        && words.all(|word| up.contains(&word) || harmless.contains(&word))
}

fn list_of(words: &Words) -> Vec<String> {
    let words = words.0.iter().flat_map(|word| word.split(','));
    words.map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_take_jobs_does() {
        for state in ["IDLE,", "MIXED", "ALLOCATED,COMPLETING", "IDLE,PLANNED", "IDLE,CLOUD"] {
            assert!(usable(state), "{state}");
        }
        for state in
            ["IDLE,DRAIN", "DOWN", "UNKNOWN", "MIXED,NOT_RESPONDING", "IDLE,RESERVED", "", "IDLE,NEW_WORD"]
        {
            assert!(!usable(state), "{state}");
        }
    }
}
