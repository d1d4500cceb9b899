//! Data: what a start needs on its node, where it is, how it comes there, and what devices keep in their memory.
//!
//! A start needs its artefacts (weights, data sets, outputs of other jobs) on its node. They are there, in its cache,
//! or come from the nearest replica or from the central store, which holds everything, compressed or not. The way that
//! should be fastest is taken. Transfers share links by max-min fairness; caches evict what was used least recently.
//!
//! ```text
//! if plane.begin(now, node, &needed, tag) { /* the run waits */ } else { /* it starts at once */ }
//! while let Some(at) = plane.next() { plane.advance(at); while let Some(tag) = plane.pop_ready() { ... } }
//! plane.release(now, tag);               // at its end, or when it is given up
//! ```
//!
//! What the model leaves out, on purpose:
//!
//! - links are full duplex, and writing to the store or to a local disk takes no bandwidth;
//! - only the store has compressed copies; caches keep artefacts ready for use and copy them as they are;
//! - decompression limits one transfer and takes no core from the jobs of its node;
//! - a source is chosen once; a transfer does not change over to a better one, and a gang copies from each other only
//!   what was there before it began;
//! - what is streamed for one run is not shared with another.
//!
//! [`Residency`] is another matter: which models are loaded on which device.

mod cache;
mod error;
mod fair;
#[cfg(test)]
mod fair_tests;
mod flow;
mod invariants;
mod link;
mod memo;
mod picture;
mod plane;
#[cfg(test)]
mod plane_tests;
#[cfg(test)]
mod properties;
mod replicas;
mod residency;
#[cfg(test)]
mod residency_tests;
mod route;
mod spec;
#[cfg(test)]
mod testing;

pub use error::DataError;
pub use picture::{Cached, Holding, Moving, Picture};
pub use plane::{Counters, DataPlane, Transfer};
pub use residency::{DeviceId, DeviceState, Model, Pick, Residency, Retention};
pub use route::Source;
pub use spec::{
    Artefact, ArtefactId, Compression, DataSetup, DataSpec, NodeData, Rack, RackId, Storage, Switches,
};

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014), for signatures.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
