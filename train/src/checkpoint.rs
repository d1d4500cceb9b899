//! Everything that a run needs to go on, in one file.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use yardmaster_agent::net::{Dims, Layout};

use crate::adam::Adam;
use crate::config::Config;
use crate::init::critic_layout;
use crate::parts;
use crate::ppo::{Learner, Network};

/// Name of the mean of the policy's weights.
const AVERAGE: &str = "policy.average";

/// Counters and settings, in the header. Random numbers need no state: they derive from seed and iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The settings.
    pub config: Config,
    /// Widths of the features.
    pub dims: Dims,
    /// Number of the critic's own features.
    pub future: usize,
    /// Iterations done.
    pub iteration: u64,
    /// Decisions made.
    pub steps: u64,
    /// Steps of both optimisers.
    pub adam_steps: [u64; 2],
    /// Best validation so far, lower is better.
    pub best: Option<f64>,
    /// Whether the normalisers have been set.
    pub calibrated: bool,
}

/// Writes a file as a whole or not at all.
pub fn write(path: &Path, progress: &Progress, learner: &Learner) -> Result<()> {
    let bytes: Vec<(String, Vec<u8>)> = arrays(learner)
        .map(|(name, values)| (name, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let mut views = Vec::new();
    for (name, bytes) in &bytes {
        views.push((name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?));
    }
    // Nothing depends on the number of threads, so equal runs give equal files whatever it was.
    let mut progress = progress.clone();
    progress.config.threads = 1;
    let metadata = HashMap::from([("progress".to_owned(), serde_json::to_string(&progress)?)]);
    let file = safetensors::serialize(views, Some(metadata))?;
    let temporary = path.with_extension("tmp");
    let written = fs::File::create(&temporary)
        .and_then(|mut out| out.write_all(&file).and_then(|()| out.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Reads what [`write`] wrote.
pub fn read(path: &Path) -> Result<(Progress, Learner)> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let text = header
        .metadata()
        .as_ref()
        .and_then(|map| map.get("progress"))
        .context("no progress in the header")?;
    let progress: Progress = serde_json::from_str(text)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let sizes = &progress.config.sizes;
    let network = |name: &str, layout: Layout, steps: u64| -> Result<Network> {
        let array = |part: &str| values(&file, &format!("{name}.{part}"), layout.total());
        let adam = Adam { params: array("params")?, first: array("first")?, second: array("second")?, steps };
        Ok(Network::new(layout, adam))
    };
    let [policy_steps, critic_steps] = progress.adam_steps;
    let mut policy = network("policy", Layout::policy(&progress.dims, sizes), policy_steps)?;
    parts::switch_off(&mut policy, &progress.config.without);
    let critic = network("critic", critic_layout(&progress.dims, sizes, progress.future), critic_steps)?;
    let average = values(&file, AVERAGE, policy.layout.total())?;
    Ok((progress, Learner { policy, critic, average }))
}

fn arrays(learner: &Learner) -> impl Iterator<Item = (String, &[f32])> {
    let networks = [("policy", &learner.policy.adam), ("critic", &learner.critic.adam)];
    let own = networks.into_iter().flat_map(|(name, adam)| {
        let parts = [("params", &adam.params), ("first", &adam.first), ("second", &adam.second)];
        parts.map(|(part, values)| (format!("{name}.{part}"), values.as_slice()))
    });
    own.chain([(AVERAGE.to_owned(), learner.average.as_slice())])
}

fn values(file: &SafeTensors<'_>, name: &str, length: usize) -> Result<Vec<f32>> {
    let tensor = file.tensor(name)?;
    ensure!(tensor.dtype() == Dtype::F32 && tensor.shape() == [length], "`{name}` has another shape");
    let (chunks, _) = tensor.data().as_chunks::<4>();
    Ok(chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect())
}
