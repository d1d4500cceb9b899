//! A decision as JSON, in the ids and names of its snapshot.

use serde_json::{Value, json};
use yardmaster_env::catalog::Catalog;
use yardmaster_env::snapshot::Snapshot;
use yardmaster_env::units::JobId;
use yardmaster_env::view::{Decision, View};

/// The decision as an object with one key.
pub(crate) fn json(snapshot: &Snapshot, decision: &Decision) -> String {
    let view = snapshot.view();
    let ids = |jobs: &[JobId]| -> Vec<u64> { jobs.iter().map(|job| snapshot.id(*job)).collect() };
    let answer = match decision {
        Decision::Start { job, nodes, batch, variant } => {
            let place = |share: &yardmaster_env::view::Share| json!({"node": view.cluster.node(share.node).name, "devices": share.devices});
            let nodes: Vec<Value> = nodes.iter().map(place).collect();
            json!({"start": {"job": snapshot.id(*job), "nodes": nodes, "batch": batch, "variant": variant}})
        }
        Decision::Reserve { order } => json!({"reserve": {"jobs": ids(order)}}),
        Decision::Allocate { portions, fill } => {
            let portion = |portion: &yardmaster_env::view::Portion| {
                let kind = &Catalog::builtin().device(view.cluster.kinds()[portion.slot]).name;
                json!({"job": snapshot.id(portion.job), "kind": kind, "share": portion.share})
            };
            let portions: Vec<Value> = portions.iter().map(portion).collect();
            json!({"allocate": {"portions": portions, "fill": fill}})
        }
        Decision::Preempt { run } => json!({"preempt": {"jobs": ids(&members(&view, *run))}}),
        Decision::Wait { until } => json!({"wait": {"until_ns": until.map(|moment| moment.0)}}),
    };
    answer.to_string()
}

/// What a run serves.
fn members(view: &View<'_>, sequence: u64) -> Vec<JobId> {
    let run = view.running.iter().find(|run| run.sequence == sequence);
    run.map(|run| run.members.to_vec()).unwrap_or_default()
}
