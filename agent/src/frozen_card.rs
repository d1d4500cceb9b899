//! What a frozen policy says about itself.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use yardmaster_env::observe::{Observation, Pair, Schema};

use crate::net::{PolicyNet, Scratch, Sizes, first_highest};

/// Version of the file's format; a reader takes exactly its own.
pub const FORMAT: u32 = 1;

/// Where a policy comes from and what it was made for; whoever trains it fills this in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Names of the features that it reads.
    pub schema: Schema,
    /// The heuristic whose action the logits are raised for, by its name in the registry.
    pub prior: String,
    /// Which actions are legal, in words.
    pub mask_rule: String,
    /// The objective it was trained on.
    pub objective: String,
    /// Name of the scenario it was trained on; several with commas between them.
    pub scenario: String,
    /// Digest of that scenario, or of each.
    pub scenario_digest: String,
    /// The training command.
    pub command: String,
    /// The git revision it was trained at.
    pub revision: String,
    /// The training seed.
    pub seed: u64,
    /// Decisions it was trained on.
    pub steps: u64,
    /// What it was worth on test episodes, as the benchmark wrote it; see [`Origin::benchmarks`].
    pub benchmark: serde_json::Value,
}

impl Origin {
    /// The names of the scenarios that it was trained on.
    pub fn scenarios(&self) -> impl Iterator<Item = &str> {
        self.scenario.split(',').map(str::trim).filter(|name| !name.is_empty())
    }

    /// What the card says of the policy's worth, by scenario: of the one that it was made for, or of each of several.
    pub fn benchmarks(&self) -> Vec<(&str, &serde_json::Value)> {
        match self.benchmark["scenarios"].as_array() {
            Some(each) => {
                each.iter().map(|one| (one["scenario"].as_str().unwrap_or_default(), one)).collect()
            }
            None => vec![(&self.scenario, &self.benchmark)],
        }
    }
}

/// The JSON card in the file's header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Version of the format.
    pub format: u32,
    /// First 16 hexadecimal digits of the schema's SHA-256, see [`schema_id`].
    pub schema_id: String,
    /// Widths of the layers.
    pub sizes: Sizes,
    /// What the logit of the prior's action is raised by.
    pub lambda: f32,
    /// Where the policy comes from.
    pub origin: Origin,
    /// Inputs and the outputs that they must give.
    pub golden: Vec<Golden>,
    /// SHA-256 of the tensors' bytes (little-endian float32) in the layout's order, in hexadecimal.
    pub digest: String,
}

/// An input and what the policy made of it when it was frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// (global features)
    pub global: Vec<f32>,
    /// (jobs, job features)
    pub jobs: Vec<f32>,
    /// (nodes, node features)
    pub nodes: Vec<f32>,
    /// (candidates, pair features)
    pub pair_features: Vec<f32>,
    /// (candidates) rows in `jobs` and `nodes`
    pub pairs: Vec<[u32; 2]>,
    /// Whether waiting is allowed.
    pub wait: bool,
    /// The prior's action.
    pub prior: Option<usize>,
    /// (actions)
    pub logits: Vec<f32>,
    /// The action chosen.
    pub action: usize,
}

impl Golden {
    /// Records what `net` makes of an observation; `None` where no action is legal.
    pub fn record(net: &PolicyNet, obs: &Observation, prior: Option<usize>) -> Option<Self> {
        let logits = net.logits(obs, prior, &mut Scratch::default()).to_vec();
        let action = first_highest(&logits)?;
        let obs = obs.clone();
        Some(Self {
            global: obs.global,
            jobs: obs.jobs,
            nodes: obs.nodes,
            pair_features: obs.pair_features,
            pairs: obs.pairs.iter().map(|pair| [pair.job, pair.node]).collect(),
            wait: obs.wait,
            prior,
            logits,
            action,
        })
    }

    /// The input.
    pub fn observation(&self) -> Observation {
        Observation {
            global: self.global.clone(),
            jobs: self.jobs.clone(),
            nodes: self.nodes.clone(),
            pair_features: self.pair_features.clone(),
            pairs: self.pairs.iter().map(|&[job, node]| Pair { job, node }).collect(),
            wait: self.wait,
        }
    }

    /// What is wrong with its shapes for features of that schema, if anything.
    pub(crate) fn fault(&self, schema: &Schema) -> Option<String> {
        let rows = |values: &[f32], names: &[String]| match names.len() {
            0 => values.is_empty().then_some(0),
            width => values.len().is_multiple_of(width).then(|| values.len() / width),
        };
        let (Some(jobs), Some(nodes)) = (rows(&self.jobs, &schema.job), rows(&self.nodes, &schema.node))
        else {
            return Some("its rows do not have the schema's width".to_owned());
        };
        let actions = self.pairs.len() + usize::from(self.wait);
        let numbers = [&self.global, &self.jobs, &self.nodes, &self.pair_features, &self.logits];
        let faults = [
            (self.global.len() != schema.global.len(), "global features have another length"),
            (
                self.pair_features.len() != self.pairs.len() * schema.pair.len(),
                "pair features have another length",
            ),
            (
                self.pairs.iter().any(|&[job, node]| job as usize >= jobs || node as usize >= nodes),
                "a candidate names a row that is not there",
            ),
            (self.logits.len() != actions, "there is not one logit for each action"),
            (self.action >= actions, "its action is not legal"),
            (self.prior.is_some_and(|action| action >= actions), "its prior is not legal"),
            (numbers.iter().any(|group| group.iter().any(|x| !x.is_finite())), "a number is not finite"),
        ];
        faults.iter().find(|(wrong, _)| *wrong).map(|(_, what)| (*what).to_owned())
    }
}

/// First 16 hexadecimal digits of the SHA-256 of the schema's JSON.
pub fn schema_id(schema: &Schema) -> String {
    let json = serde_json::to_vec(schema).expect("lists of strings have a JSON form");
    hex(&Sha256::digest(json))[..16].to_owned()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
