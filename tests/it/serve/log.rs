//! The log of decisions, and what another policy makes of it.

use std::process::Command;

use serde_json::{Value, json};

use super::{Server, checkpoint, states, value};
use crate::support::Bench;

fn replay(log: &std::path::Path, who: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_yardmaster"))
        .args(["replay", log.to_str().unwrap(), "--json", "-"])
        .args(who)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ask_all(server: &Server) -> usize {
    let states = states();
    value(&server.post("/v1/clusters", &serde_json::to_value(&states.cluster).unwrap()));
    for state in &states.states {
        value(&server.post("/v1/decide", &json!({ "handle": "pool12", "state": state })));
    }
    states.states.len()
}

#[test]
fn a_replay_through_the_same_policy_finds_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let checkpoint = checkpoint();
    let mut server = Server::start(&["--checkpoint", &checkpoint, "--audit", log.to_str().unwrap()]);
    let asked = ask_all(&server) as u64;
    server.signal("-TERM");
    assert!(server.child.wait().unwrap().success());
    let same = replay(&log, &["--checkpoint", &checkpoint]);
    assert_eq!((same["decisions"].as_u64(), same["different"].as_u64()), (Some(asked), Some(0)), "{same}");
    let other = replay(&log, &["--policy", "ljf"]);
    assert!(other["different"].as_u64().unwrap() > 0, "{other}");
    let by_kind: u64 = other["by_kind"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(by_kind, other["different"].as_u64().unwrap());
}

#[test]
fn a_process_that_is_killed_loses_at_most_its_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let mut server = Server::start(&["--policy", "mct", "--audit", log.to_str().unwrap()]);
    let mut asked = 0;
    let lines =
        |log: &std::path::Path| std::fs::read(log).unwrap().iter().filter(|byte| **byte == b'\n').count();
    while asked < 80 {
        asked += ask_all(&server);
    }
    server.signal("-KILL");
    server.child.wait().unwrap();
    let written = lines(&log);
    let replayed = replay(&log, &["--policy", "mct"]);
    // The first line tells the cluster.
    assert_eq!(replayed["decisions"].as_u64().unwrap() as usize, written - 1, "{replayed}");
    assert!(replayed["torn"].as_u64().unwrap() <= 1 && replayed["different"] == 0, "{replayed}");
    // What is torn by hand is left out, and nothing else.
    let text = std::fs::read(&log).unwrap();
    let end = text.iter().rposition(|byte| *byte == b'\n').unwrap();
    std::fs::write(&log, &text[..end - 20]).unwrap();
    let torn = replay(&log, &["--policy", "mct"]);
    assert_eq!(torn["decisions"].as_u64().unwrap() as usize, written - 2, "{torn}");
    assert_eq!(torn["torn"], 1);
    let mut server = Server::start(&["--policy", "mct", "--audit", log.to_str().unwrap()]);
    let more = ask_all(&server);
    server.signal("-TERM");
    server.child.wait().unwrap();
    let after = replay(&log, &["--policy", "mct"]);
    assert_eq!(after["decisions"].as_u64().unwrap() as usize, written - 2 + more, "{after}");
}

#[test]
fn what_is_no_log_is_refused_by_name() {
    let bench = Bench::new();
    bench.put("empty.jsonl", "");
    bench.put("guide.md", "# no log\n\nat all\n");
    for (file, told) in [
        ("empty.jsonl", "empty.jsonl holds no decision, and 0 lines that are none: give what"),
        ("guide.md", "guide.md holds no decision, and "),
        ("absent.jsonl", "cannot read absent.jsonl"),
    ] {
        let error = bench.fails(&format!("replay {file} --policy mct"));
        assert!(error.contains(told), "{error}");
    }
}
