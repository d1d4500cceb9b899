//! Any five texts are read or refused as a catalogue, and every cell of it can be asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_env::catalog::{Catalog, CatalogText};
use yardmaster_env::units::{InferenceId, KindId};

fuzz_target!(|text: &str| {
    let mut parts = text.split("\n%%\n");
    let mut next = || parts.next().unwrap_or("");
    let text = CatalogText {
        devices: next(),
        models: next(),
        sources: next(),
        training: next(),
        inference: next(),
    };
    let Ok(catalog) = Catalog::parse(text) else { return };
    for model in 0..catalog.inference_models().len() {
        for kind in 0..catalog.devices().len() {
            let (model, kind) = (InferenceId(model as u16), KindId(kind as u16));
            let most = catalog.max_batch(model, kind);
            assert!(most == 0 || catalog.latency(model, kind, most).is_some());
        }
    }
});
