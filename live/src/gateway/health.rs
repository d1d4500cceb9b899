//! Asks back ends again and again whether they are ready, and what they serve.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::client::Client;
use super::dispatch::{Event, Shared};

/// A back end that does not say within this whether it is ready is not.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches one back end for as long as somebody listens.
pub(super) async fn watch(shared: Arc<Shared>, node: usize, events: Sender<Event>) {
    let Some(client) = shared.config.backends[node].clone() else { return };
    let mut ticks = tokio::time::interval(Duration::from_millis(shared.config.raw.health_ms));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut complained = None;
    loop {
        ticks.tick().await;
        let well = probe(&shared, node, &client).await;
        let why = well.as_ref().err().cloned();
        if let Some(why) = why.as_ref().filter(|_| why != complained) {
            let name = &shared.config.scenario.cluster().nodes()[node].name;
            eprintln!("back end {name} is not ready: {why}");
        }
        complained = why;
        if events.send(Event::Health { node, up: well.is_ok() }).is_err() {
            return;
        }
    }
}

/// Whether the back end is ready and serves what it should.
async fn probe(shared: &Shared, node: usize, client: &Client) -> Result<(), String> {
    client.ready(PATIENCE).await.map_err(|error| error.to_string())?;
    let (catalog, kind) =
        (shared.config.scenario.catalog(), shared.config.scenario.cluster().nodes()[node].kind);
    for (model, known) in shared.config.models.iter().zip(&shared.metas) {
        if catalog.max_batch(model.id, kind) == 0 {
            continue;
        }
        let meta = client.model(&model.name, PATIENCE).await.map_err(|error| error.to_string())?;
        meta.check()?;
        if *known.get_or_init(|| meta.clone()) != meta {
            return Err(format!("model {:?} is not the one of the other back ends", model.name));
        }
    }
    Ok(())
}
