//! Who is let in, and with what.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use yardmaster_live::load::client::Client;

use super::{Server, question};
use crate::support::Bench;

#[test]
fn without_a_token_nothing_is_told_but_that_it_lives() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "0123456789abcdef\n").unwrap();
    let server = Server::start(&["--policy", "mct", "--token-file", tokens.to_str().unwrap()]);
    for path in ["/metrics", "/v1/policies", "/openapi.json"] {
        assert_eq!(server.get(path).status, 401, "{path}");
    }
    assert_eq!(server.post("/v1/decide", &question()).status, 401);
    assert_eq!((server.get("/healthz").status, server.get("/readyz").status), (200, 200));
    let with = |token: &str| {
        let mut client = Client::connect(&server.address, Some(token)).unwrap();
        client.post("/v1/decide", question().to_string().as_bytes()).unwrap().status
    };
    assert_eq!((with("0123456789abcdef"), with("0123456789abcdeg")), (200, 401));
}

#[test]
fn beyond_loopback_strangers_are_not_let_in_unless_that_is_said() {
    let refused = Command::new(env!("CARGO_BIN_EXE_yardmaster"))
        .args(["serve", "--policy", "mct", "--listen", "0.0.0.0:0"])
        .env_remove("YARDMASTER_TOKEN")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("--allow-unauthenticated"), "{text}");
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let bench = Bench::new();
    bench.put("tokens", "0123456789abcdef\n\nshort\n");
    bench.put("empty", "\n");
    let refused = |options: &str, why: &str| {
        let text = bench.fails(&format!("serve {options}"));
        assert!(text.contains(why), "{options}: {text}");
    };
    refused("--policy mct --token-file tokens", "line 3 of tokens is a token of 5 characters");
    refused("--policy mct --token-file empty", "empty has no token");
    refused("--policy mct --token-file nowhere", "cannot read nowhere");
    refused("--policy mct --listen localhost:7077", "such as 127.0.0.1:7077");
    refused("--policy mct --deadline-ms 0", "--deadline-ms and --patience-s must be above 0");
    refused("--policy mct --fallback nothing", "unknown policy \"nothing\"");
    refused("", "--policy <NAME>|--checkpoint <FILE>");
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    let server = Server::start(&["--policy", "mct"]);
    let mut client = server.client();
    let answer = client.post("/v1/decide", &vec![b' '; 100_000_000]);
    // Who goes on sending may find the connection closed before the answer is read.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));
    let head = b"POST /v1/decide HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n";
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(head).unwrap();
    let mut text = [0; 12];
    stream.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"HTTP/1.1 413");
    assert_eq!(server.post("/v1/decide", &question()).status, 200, "others are served on");
}

#[test]
fn a_client_that_is_slow_is_given_up_and_keeps_nobody_waiting() {
    let server = Server::start(&["--policy", "mct", "--patience-s", "0.5"]);
    let connect = || {
        let stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let (mut head, mut body) = (connect(), connect());
    head.write_all(b"POST /v1/dec").unwrap();
    body.write_all(b"POST /v1/decide HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n{\"han").unwrap();
    assert_eq!(server.post("/v1/decide", &question()).status, 200);
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    text.clear();
    // Closed, with or without a word.
    let _ = head.read_to_string(&mut text);
}

#[test]
fn what_is_no_question_is_refused_by_name() {
    let server = Server::start(&["--policy", "mct"]);
    let mut client = server.client();
    let mut refused = |body: &str, status: u16, why: &str| {
        let answer = client.post("/v1/decide", body.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(why), "{body}: {}", answer.text());
    };
    refused("", 400, "malformed");
    refused("{", 400, "malformed");
    refused("[1, 2]", 400, "malformed");
    refused("\u{0}", 400, "malformed");
    refused(r#"{"colour": 1}"#, 400, "colour");
    refused(r#"{"state": {"format": 1, "now_ns": 1, "jobs": []}}"#, 400, "either `handle` or `cluster`");
    let mut wrong = question();
    wrong["state"]["format"] = json!(7);
    refused(&wrong.to_string(), 422, "the state has format 7, this program reads format 1");
    let mut wrong = question();
    wrong["cluster"]["format"] = json!(7);
    refused(&wrong.to_string(), 422, "the cluster has format 7");
    let mut wrong = question();
    wrong["state"]["jobs"][0]["takes_ns"] = json!({ "moon": 1 });
    refused(&wrong.to_string(), 422, "moon");
    assert_eq!(server.post("/v1/decide", &question()).status, 200);
    let elsewhere = server.get("/v1/decides");
    assert_eq!((elsewhere.status, elsewhere.text().contains("no such path")), (404, true));
    let asked = server.get("/v1/decide");
    assert_eq!((asked.status, asked.text().contains("does not take GET: see /openapi.json")), (405, true));
}

/// Whole questions, cut and changed in thousands of ways: each is answered, and the service lives.
#[test]
fn no_text_brings_it_down() {
    let server = Server::start(&["--policy", "mct"]);
    let good = question().to_string().into_bytes();
    let mut client = server.client();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..2000 {
        let mut text = good.clone();
        match random(4) {
            0 => text.truncate(random(good.len())),
            1 => text[random(good.len())] = random(256) as u8,
            2 => text[random(good.len())] = b"0123456789-\"{}[],:e"[random(19)],
            _ => {
                let (from, to) = (random(good.len()), random(good.len()));
                text.drain(from.min(to)..from.max(to));
            }
        }
        let answer = client.post("/v1/decide", &text).unwrap();
        assert!([200, 400, 422].contains(&answer.status), "{}", answer.text());
    }
    assert_eq!(server.metric("yardmaster_fallbacks_total{reason=\"panic\"}"), 0.0);
}

#[test]
fn more_than_the_rate_are_turned_away() {
    let server = Server::start(&["--policy", "mct", "--max-rate", "5"]);
    let mut client = server.client();
    let status = |_| client.get("/v1/policies").unwrap().status;
    let answers: Vec<u16> = (0..20).map(status).collect();
    assert!(answers.contains(&200) && answers.contains(&429), "{answers:?}");
}
