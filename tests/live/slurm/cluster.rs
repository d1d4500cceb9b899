//! A cluster for the length of a test, from `scripts/slurm-cluster.sh`.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that should happen soon.
const SOON: Duration = Duration::from_secs(60);

/// A running cluster; it ends with this value.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// The default nodes, or those given as `NAME:TYPE:COUNT`. Says so and gives nothing where Slurm cannot be started.
    pub(super) fn start(nodes: &[&str]) -> Option<Cluster> {
        let folder = tempfile::tempdir().unwrap();
        // munged wants everybody to reach its socket.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let cluster = Cluster { folder };
        let output = cluster.script("up", nodes);
        if output.status.success() {
            return Some(cluster);
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        // Where the tests are meant to find Slurm, a cluster that does not start is a failure.
        assert!(std::env::var_os("YARDMASTER_NEEDS_SLURM").is_none(), "{why}");
        println!("skipped: no Slurm cluster here: {}", why.trim());
        None
    }

    /// Runs `scripts/slurm-cluster.sh VERB`.
    pub(super) fn script(&self, verb: &str, nodes: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/slurm-cluster.sh");
        Command::new(script).arg(verb).arg(self.path("cluster")).args(nodes).output().unwrap()
    }

    /// A path in the folder of the test.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that speaks to this cluster.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.path("cluster/slurm.conf")).current_dir(self.folder.path());
        command
    }

    /// What a command that must succeed prints.
    pub(super) fn ok(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Submits a job; gives its number.
    pub(super) fn submit(&self, arguments: &[&str]) -> u32 {
        let fixed = ["--parsable", "--output=/dev/null"];
        let all: Vec<&str> = fixed.iter().chain(arguments).copied().collect();
        self.ok("sbatch", &all).trim().parse().unwrap()
    }

    /// A key of a job, as text.
    pub(super) fn job(&self, job: u32, key: &str) -> String {
        let answer: Value = serde_json::from_str(&self.ok("squeue", &["--json"])).unwrap();
        let jobs = answer["jobs"].as_array().unwrap();
        let found = jobs.iter().find(|value| value["job_id"] == job);
        found.map_or_else(|| "gone".into(), |value| value[key].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until something is so.
    pub(super) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        self.within(SOON, what, is_so);
    }

    /// Waits until something is so, for at most so long.
    pub(super) fn within(&self, limit: Duration, what: &str, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            if begin.elapsed() > limit {
                panic!("after {limit:?} still not: {what}\n{}", self.ok("squeue", &["--long"]));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts `yardmaster slurm` on the partition, with more arguments split at spaces.
    pub(super) fn yardmaster(&self, arguments: &str) -> Yardmaster {
        let log = self.path("yardmaster.log");
        let mut command = self.command(env!("CARGO_BIN_EXE_yardmaster"));
        command
            .args(["slurm", "--partition", "gpu", "--interval", "200ms"])
            .args(arguments.split_whitespace());
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Yardmaster { child: command.spawn().unwrap(), log }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let output = self.script("down", &[]);
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// `yardmaster slurm` at work; it ends with this value.
pub(super) struct Yardmaster {
    child: Child,
    log: PathBuf,
}

impl Yardmaster {
    /// All that it has said.
    pub(super) fn log(&self) -> String {
        let mut text = String::new();
        File::open(&self.log).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until it ends by itself.
    pub(super) fn wait(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Yardmaster {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
