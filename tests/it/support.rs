//! Where the tests find things, and the command as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use yardmaster_agent::frozen::{Frozen, Origin, to_bytes};
use yardmaster_agent::net::{Dims, Layout, PolicyNet, Sizes};
use yardmaster_agent::registry;
use yardmaster_env::observe::{Observer, Schema};
use yardmaster_env::sim::Simulator;
use yardmaster_env::spec::{self, Split};

/// A file of the shared data folder; says so and gives nothing where the folder is absent.
///
/// The folder is `shared/data` beside the checkout, or what the environment variable `YARDMASTER_DATA` names.
pub(crate) fn shared_data(file: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("YARDMASTER_DATA").map_or_else(beside, PathBuf::from).join(file);
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: {} is absent", path.display());
    None
}

/// A file of this repository.
pub(crate) fn ours(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The trace that comes with the tests.
pub(crate) fn small_swf() -> String {
    ours("tests/data/small.swf").display().to_string()
}

/// A run of `yardmaster` in a folder of its own.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench { folder: tempfile::tempdir().unwrap() }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Puts a file into the folder.
    pub(crate) fn put(&self, file: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(file), content).unwrap();
    }

    /// The text of a file in the folder.
    pub(crate) fn get(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// The names in the folder, sorted; drafts would show here.
    pub(crate) fn list(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The command with these arguments, split at spaces.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yardmaster"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.env("RUST_BACKTRACE", "1");
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Standard output of a run that must succeed.
    pub(crate) fn ok(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "yardmaster {arguments}\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard output of a run that must succeed, as JSON and nothing else.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap_or_else(|error| panic!("{arguments}: {error}"))
    }

    /// What a run says that must fail: one message, no output, no panic, no backtrace.
    pub(crate) fn fails(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "yardmaster {arguments}: {}\n{errors}",
            output.status
        );
        assert!(output.stdout.is_empty(), "yardmaster {arguments} has printed something");
        assert!(
            errors.lines().any(|line| line.starts_with("error: "))
                && !errors.contains("panicked")
                && !errors.contains("backtrace"),
            "{errors}"
        );
        errors
    }
}

/// A frozen policy that has learned nothing: the file of a network with random weights that leans to `mct`, for tests that
/// need any policy of the current features. `wait` raises the logit of waiting; `name` is the scenario in its card.
pub(crate) fn frozen(name: &str, wait: f32) -> Vec<u8> {
    let scenario = spec::builtin("pool12").unwrap();
    let dims = Dims::from(&Schema::current());
    let layout = Layout::policy(&dims, &Sizes::default());
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.2 * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    let mut params: Vec<f32> = (0..layout.total()).map(|_| next()).collect();
    params[layout.trained()..].iter_mut().for_each(|scale_or_shift| *scale_or_shift += 0.5);
    params[layout.entry("wait.1.b").unwrap().offset] = wait;
    let net = PolicyNet::new(dims, Sizes::default(), 2.0, &params).unwrap();
    let origin = Origin {
        schema: Schema::current(),
        prior: "mct".into(),
        mask_rule: "legal".into(),
        objective: "completion-time".into(),
        scenario: name.into(),
        scenario_digest: scenario.digest(),
        command: "/somewhere/yardmaster-train --scenario pool12".into(),
        revision: "none".into(),
        seed: 1,
        steps: 0,
        benchmark: serde_json::json!({ "training_cpu_s": 90.0 }),
    };
    let mut sim = Simulator::new(scenario.world(Split::Train.seed(0, 0)).unwrap().into());
    let (mut mct, mut observer, mut cases) =
        (registry::build("mct").unwrap(), Observer::default(), Vec::new());
    while let Some(view) = sim.next_decision() {
        let decision = mct.decide(&view);
        let observation = observer.observe(&view, Some(decision.clone())).clone();
        cases.push((observation, observer.candidates.proposal()));
        sim.apply(decision).unwrap();
    }
    to_bytes(&Frozen::new(origin, net, &cases[..12]).unwrap()).unwrap()
}

/// The keys of a JSON object, in order of the alphabet.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// What `work` makes of each item, in their order, on as many threads as there are processors.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let one = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            done.push((at, work(item)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
