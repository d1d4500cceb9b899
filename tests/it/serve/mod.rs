//! The decision service as a process, over real sockets: what it answers, and what it does when things go wrong.

mod answers;
mod faults;
mod guards;
mod kubernetes;
mod log;
mod schema;
mod tls;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yardmaster_env::spec::builtin;
use yardmaster_live::load::client::{Answer, Client};
use yardmaster_live::load::states::States;

use crate::support::ours;

/// A service that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts one on a free port with these options and waits until it listens.
    fn start(options: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yardmaster"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(options);
        command.env_remove("YARDMASTER_TOKEN").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim().rsplit_once('/').unwrap_or_else(|| panic!("it says {line:?}"));
        Server { address: address.to_owned(), child }
    }

    fn client(&self) -> Client {
        Client::connect(&self.address, None).unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.client().post(path, body.to_string().as_bytes()).unwrap()
    }

    fn get(&self, path: &str) -> Answer {
        self.client().get(path).unwrap()
    }

    /// A count of `/metrics`, 0 if it has not been counted yet.
    fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn until(&self, what: &str, mut holds: impl FnMut(&Server) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn checkpoint() -> String {
    ours("checkpoints/pool12.safetensors").display().to_string()
}

/// States of the scenario that the checkpoint was trained in.
fn states() -> States {
    States::of(&builtin("pool12").unwrap(), 8, 8, 1).unwrap()
}

/// A whole question, cluster and state.
fn question() -> Value {
    let states = states();
    json!({ "cluster": states.cluster, "state": states.states[0] })
}

fn value(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn exists(path: &Path) -> bool {
    path.exists()
}
