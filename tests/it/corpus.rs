//! The readers on the seeds of the fuzz targets and on thousands of damaged copies of them: what is not understood is
//! refused, and nothing panics. A short stand-in for `cargo fuzz`, which needs a nightly compiler.

use std::path::{Path, PathBuf};

use yardmaster_agent::{frozen, registry};
use yardmaster_env::catalog::{Catalog, CatalogText};
use yardmaster_env::packing::Instance;
use yardmaster_env::snapshot::Snapshot;
use yardmaster_env::spec::{Scenario, Split};
use yardmaster_env::trace::gavel::GavelInput;
use yardmaster_env::trace::{TableFormat, azure_llm, openb, philly, swf, table};

/// Damaged copies of each seed.
const COPIES: u64 = 400;

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds for {target}");
    paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
    }

    /// One to four faults: a byte changed, cut out or put in, a piece repeated, a number made extreme, the end cut off.
    fn damage(&mut self, seed: &[u8]) -> Vec<u8> {
        const EXTREMES: [&str; 9] =
            ["-1", "0", "18446744073709551615", "1e308", "nan", "99999999999999999999", "-0.0", "\"", "\n"];
        let mut bytes = seed.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(bytes.len());
            match self.roll(6) {
                0 if !bytes.is_empty() => bytes[at] = self.roll(256) as u8,
                1 if !bytes.is_empty() => _ = bytes.remove(at),
                2 => bytes.insert(at, b" \n,;[]{}=\"-.0"[self.roll(13)]),
                3 => {
                    let end = (at + self.roll(40)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                4 => {
                    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    bytes.splice(at..at + digits, EXTREMES[self.roll(EXTREMES.len())].bytes());
                }
                _ => bytes.truncate(at),
            }
        }
        bytes
    }
}

/// Reads every seed, which must do, and its damaged copies, which need not.
fn each(target: &str, read: impl Fn(&[u8]) -> bool) {
    for (path, seed) in seeds(target) {
        let told = path.file_stem().unwrap().to_string_lossy().starts_with("refused");
        assert_eq!(read(&seed), !told, "{}", path.display());
        for copy in 0..COPIES {
            // The number of a copy that panics is in the message of the panic that follows.
            let guard = Announce(&path, copy);
            read(&Dice(copy).damage(&seed));
            std::mem::forget(guard);
        }
    }
}

/// Says which copy was read when a panic came.
struct Announce<'a>(&'a Path, u64);

impl Drop for Announce<'_> {
    fn drop(&mut self) {
        eprintln!("damaged copy {} of {}", self.1, self.0.display());
    }
}

fn text(read: impl Fn(&str) -> bool) -> impl Fn(&[u8]) -> bool {
    move |bytes| std::str::from_utf8(bytes).is_ok_and(&read)
}

#[test]
fn traces_in_standard_workload_format() {
    each("swf", text(|text| swf::parse(text, "seed").is_ok()));
}

#[test]
fn tables_of_commas() {
    each("csv", text(|text| table::parse_csv(text, "seed", Catalog::builtin()).is_ok()));
}

#[test]
fn tables_of_json_lines() {
    each("jsonl", text(|text| table::parse_jsonl(text, "seed", Catalog::builtin()).is_ok()));
}

#[test]
fn catalogues() {
    let read = |text: &str| {
        let mut parts = text.split("\n%%\n");
        let mut next = || parts.next().unwrap_or("");
        let [devices, models, sources, training, inference] = [(); 5].map(|()| next());
        Catalog::parse(CatalogText { devices, models, sources, training, inference }).is_ok()
    };
    each("catalogue", text(read));
}

#[test]
fn scenarios() {
    let read = |text: &str| match Scenario::parse(text, "seed") {
        Ok(scenario) => scenario.world(Split::Test.seed(0, 0)).is_ok(),
        Err(_) => false,
    };
    each("scenario", text(read));
}

/// What was read is written well, and a rule decides on it.
#[test]
fn snapshots() {
    let read = |text: &str| {
        let Ok(snapshot) = Snapshot::from_json(text) else { return false };
        assert_eq!(Snapshot::from_json(&snapshot.to_json()).unwrap(), snapshot);
        if snapshot.has_choice() {
            // What a rule may not do is told, never carried out.
            let _ = snapshot.check(&registry::build("mct").unwrap().decide(&snapshot.view()));
        }
        true
    };
    each("snapshot", text(read));
}

#[test]
fn frozen_policies() {
    each("frozen", |bytes| frozen::read(bytes).is_ok_and(|policy| policy.verify_golden().is_ok()));
}

#[test]
fn public_tables() {
    let read = |text: &str| match TableFormat::of(text) {
        TableFormat::Philly => philly::parse(text, "seed").is_ok(),
        TableFormat::AzureLlm => azure_llm::parse(text, "seed").is_ok(),
        TableFormat::OpenbNodes => openb::parse_nodes(text, "seed")
            .is_ok_and(|nodes| openb::cluster(&nodes, Catalog::builtin(), "seed").is_ok()),
        TableFormat::OpenbPods => openb::parse_pods(text, "seed").is_ok_and(|(pods, report)| {
            let _ = Instance::new(&[], &pods);
            openb::workload(&pods, report, "seed").is_ok()
        }),
        TableFormat::Own => false,
    };
    each("public", text(read));
}

#[test]
fn workloads_of_gavel() {
    let read = |text: &str| {
        let (input, speeds) = text.split_once("\n%%\n").unwrap_or((text, ""));
        let input = GavelInput::parse(input, "seed");
        input.is_ok_and(|input| input.with_throughputs(speeds, "seed", Catalog::builtin()).is_ok())
    };
    each("gavel", text(read));
}
