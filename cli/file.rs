//! The text of a file, unpacked where it is compressed.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// Unpacked files may not be larger, so that a small file cannot fill the memory.
const MAX_BYTES: u64 = 4 << 30;
/// What gzip files begin with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads a file as text; one in gzip format is unpacked, a byte-order mark left off.
pub(crate) fn text(path: &Path) -> Result<String> {
    let shown = path.display();
    let mut bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    if bytes.starts_with(&GZIP) {
        bytes = unpack(&bytes, MAX_BYTES).with_context(|| format!("cannot unpack {shown}"))?;
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..good].iter().filter(|&&byte| byte == b'\n').count();
        let byte = error.as_bytes()[good];
        anyhow::anyhow!("{shown} line {line}: byte {byte:#04x} is not UTF-8 text; convert the file to UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// The first 16 hexadecimal digits of the SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn unpack(bytes: &[u8], most: u64) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes)
        .take(most + 1)
        .read_to_end(&mut unpacked)
        .context("the gzip data is damaged or cut off; fetch the file again")?;
    if unpacked.len() as u64 > most {
        bail!("it holds more than {most} bytes; split it");
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_within_limits() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[b'x'; 5000]).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(unpack(&packed, 5000).unwrap(), [b'x'; 5000]);
        assert!(unpack(&packed, 4999).unwrap_err().to_string().contains("more than 4999 bytes"));
        let cut = unpack(&packed[..packed.len() - 9], 5000).unwrap_err();
        assert!(cut.to_string().contains("damaged or cut off"), "{cut}");
    }
}
