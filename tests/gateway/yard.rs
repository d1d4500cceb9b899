//! Back ends and a gateway as processes, and a caller that can hang up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bench, ours};

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Numbers of a row of the test model.
pub(crate) const ROW: usize = 8;

/// The back end's program, built beside the command if it is not there yet: it is a package of its own.
fn backend_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let command = Path::new(env!("CARGO_BIN_EXE_yardmaster"));
        let profile = command.parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--package", "yardmaster-backend", "--manifest-path"]);
        build.arg(ours("Cargo.toml")).arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the back end does not build");
        command.with_file_name("yardmaster-backend")
    })
}

/// A server, ended with the test.
pub(crate) struct Server {
    child: Child,
    /// `host:port`.
    pub(crate) address: String,
}

impl Server {
    fn start(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{command:?} said {line:?}")).to_owned();
        Server { child, address }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as an operator does.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Its exit status, once it has ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The numbers of the only output.
    pub(crate) fn output(&self) -> Vec<f64> {
        assert_eq!(self.status, 200, "{}", self.body);
        let answer = self.json();
        answer["outputs"][0]["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_f64().unwrap())
            .collect()
    }
}

/// Sends a request, without waiting for the answer.
pub(crate) fn send(address: &str, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream
}

/// The answer to what was sent.
pub(crate) fn receive(mut stream: TcpStream) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn get(address: &str, path: &str) -> Answer {
    receive(send(address, "GET", path, "", ""))
}

/// A request for the test model, with numbers that tell it from others.
pub(crate) fn body(number: usize) -> String {
    let data: Vec<f64> = (0..ROW).map(|at| ((number * ROW + at) as f64 * 0.7).sin()).collect();
    json!({
        "id": format!("r{number}"),
        "inputs": [{ "name": "x", "shape": [1, ROW], "datatype": "FP32", "data": data }],
    })
    .to_string()
}

/// Sends request number so-and-so.
pub(crate) fn ask(address: &str, number: usize, headers: &str) -> TcpStream {
    send(address, "POST", "/v2/models/tiny/infer", headers, &body(number))
}

/// A gateway with its back ends.
pub(crate) struct Yard {
    pub(crate) bench: Bench,
    pub(crate) backends: Vec<Server>,
    pub(crate) gateway: Server,
}

/// A back end: its name and how many milliseconds it takes for each batch.
pub(crate) type Pace = (&'static str, u32);

impl Yard {
    /// Starts everything and waits until it is ready. `scenario` and `config` are further lines of these files.
    pub(crate) fn start(paces: &[Pace], policy: &str, scenario: &str, config: &str) -> Yard {
        let bench = Bench::new();
        write_model(&bench);
        let backends: Vec<Server> = paces.iter().map(|&pace| backend(&bench, pace, "127.0.0.1:0")).collect();
        bench.put("s.toml", scenario_text(paces, scenario));
        bench.put("g.toml", config_text(paces, &backends, config));
        let gateway = gateway(&bench, &["--policy", policy]);
        let yard = Yard { bench, backends, gateway };
        yard.until("ready", || get(&yard.gateway.address, "/readyz").status == 200);
        yard.until("all up", || yard.metric("backend_up", "") == paces.len() as u64);
        yard
    }

    /// The answers to these requests, sent at once.
    pub(crate) fn all(&self, numbers: std::ops::Range<usize>) -> Vec<Answer> {
        let sent: Vec<TcpStream> = numbers.map(|number| ask(&self.gateway.address, number, "")).collect();
        sent.into_iter().map(receive).collect()
    }

    /// Sum of a metric over the lines whose labels contain a text.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> u64 {
        let text = get(&self.gateway.address, "/metrics").body;
        let start = format!("yardmaster_gateway_{name}{{");
        let lines = text.lines().filter(|line| line.starts_with(&start) && line.contains(labels));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < PATIENCE, "waited in vain for: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Puts the test model into the folder.
pub(crate) fn write_model(bench: &Bench) {
    let mut write = Command::new(backend_program());
    write.args(["--network", "tiny", "--write"]).arg(bench.path("tiny.onnx"));
    assert!(write.status().unwrap().success());
}

/// A back end of the test model.
pub(crate) fn backend(bench: &Bench, (name, ms): Pace, listen: &str) -> Server {
    let mut command = Command::new(backend_program());
    command.args(["--listen", listen, "--kind", name, "--max-batch", "8", "--pace-ms", &ms.to_string()]);
    Server::start(command.arg("--model").arg(bench.path("tiny.onnx")))
}

/// A gateway of the configuration in the folder.
pub(crate) fn gateway(bench: &Bench, arguments: &[&str]) -> Server {
    let mut command = bench.command("gateway --config g.toml --listen 127.0.0.1:0");
    Server::start(command.args(arguments))
}

fn scenario_text(paces: &[Pace], more: &str) -> String {
    let mut text = format!(
        "name = \"test\"\nabout = \"test\"\nhold_ms = 2.0\nprior = \"mct\"\n\
         objective = {{ kind = \"misses\", latency = 0.05 }}\n{more}\n\
         [workload.requests]\ncount = 10\nrate = {{ per_second = 10.0 }}\n\
         streams = [{{ model = \"tiny\", share = 1.0, deadline_ms = 500.0 }}]\n\
         [measured]\nhow = \"as paced\"\n"
    );
    let list = |item: fn(&Pace) -> String| paces.iter().map(item).collect::<Vec<_>>().join(", ");
    let devices = list(|(name, _)| format!("{{ name = {name:?}, class = \"cpu\" }}"));
    let latencies = list(|(name, ms)| {
        let row = |batch| {
            format!(
                "{{ model = \"tiny\", device = {name:?}, batch = {batch}, latency_us = {} }}",
                ms * 1000 + 1
            )
        };
        format!("{}, {}", row(1), row(8))
    });
    text += &format!("devices = [{devices}]\nlatencies = [{latencies}]\n");
    for (name, _) in paces {
        text += &format!("[[nodes]]\nname = {name:?}\nkind = {name:?}\n");
    }
    text
}

fn config_text(paces: &[Pace], backends: &[Server], more: &str) -> String {
    let mut text = format!("scenario = \"s.toml\"\nhealth_ms = 50\n{more}\n[[models]]\nname = \"tiny\"\n");
    for ((name, _), backend) in paces.iter().zip(backends) {
        text += &format!("[[backends]]\nnode = {name:?}\nurl = \"http://{}\"\n", backend.address);
    }
    text
}
