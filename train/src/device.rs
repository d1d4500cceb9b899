//! Where the learner's tensors live: one device for the whole process, as libtorch has it for threads.
//!
//! Rollouts always act on the processor, with the forward pass that ships; the learner's batches, weights and gradients
//! are what a device can take over. The optimiser's step stays on the processor, in the order that makes results repeatable;
//! sums on a GPU are not, so that two runs on one need not agree to the bit.

use std::sync::OnceLock;

use anyhow::{Result, bail, ensure};
use tch::{Cuda, Device};

static DEVICE: OnceLock<Device> = OnceLock::new();

/// Chooses the device, once, before any tensor is made: `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// Another name, a device that this libtorch does not have, another choice before.
pub fn choose(name: &str) -> Result<()> {
    let device = parse(name, Cuda::device_count())?;
    let chosen = *DEVICE.get_or_init(|| device);
    ensure!(chosen == device, "device = {name:?}: this process already computes on {chosen:?}");
    Ok(())
}

/// The device that was chosen; the processor unless told otherwise.
pub fn current() -> Device {
    DEVICE.get().copied().unwrap_or(Device::Cpu)
}

/// The device of that name, where libtorch sees `count` GPUs.
fn parse(name: &str, count: i64) -> Result<Device> {
    let number = match name.split_once(':') {
        None if name == "cpu" => return Ok(Device::Cpu),
        None if name == "cuda" => 0,
        Some(("cuda", number)) if number.parse::<u16>().is_ok() => number.parse()?,
        _ => bail!("device = {name:?}: give \"cpu\", \"cuda\" or \"cuda:N\""),
    };
    ensure!(
        count > 0,
        "device = {name:?}: this libtorch sees no GPU; take device = \"cpu\", or set LIBTORCH to one built with CUDA and \
         build again, and check with nvidia-smi that the driver finds a GPU"
    );
    ensure!(number < count as usize, "device = {name:?}: this libtorch sees {count} GPU(s), numbered from 0");
    Ok(Device::Cuda(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_refused_by_name() {
        assert_eq!(parse("cpu", 0).unwrap(), Device::Cpu);
        assert_eq!(parse("cuda", 1).unwrap(), Device::Cuda(0));
        assert_eq!(parse("cuda:1", 2).unwrap(), Device::Cuda(1));
        let error = |name: &str, count| parse(name, count).unwrap_err().to_string();
        assert!(error("cuda", 0).contains("sees no GPU; take device = \"cpu\""));
        assert!(error("cuda:2", 2).contains("sees 2 GPU(s), numbered from 0"));
        for name in ["gpu", "cuda:", "cuda:-1", ""] {
            assert!(error(name, 1).contains("give \"cpu\", \"cuda\" or \"cuda:N\""), "{name}");
        }
    }
}
