//! The gateway as a whole in one process, before back ends that are made of a few lines. `tests/gateway` has the
//! same with processes that run a network.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::AtomicU32;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use yardmaster_agent::registry;
use yardmaster_env::spec::Scenario;

use super::client::{CallError, Client};
use super::config::{RawBackend, RawConfig, RawModel};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A back end that doubles its numbers.
#[derive(Default)]
struct Fake {
    /// How long it takes for a batch.
    pace_ms: u64,
    /// Whether it answers with an error.
    fails: AtomicBool,
    batches: AtomicU32,
}

async fn metadata() -> Json<Value> {
    let tensor = |name: &str| json!([{ "name": name, "datatype": "FP64", "shape": [-1, 2] }]);
    Json(json!({ "name": "m", "inputs": tensor("x"), "outputs": tensor("y") }))
}

async fn ready(Extract(fake): Extract<Arc<Fake>>) -> StatusCode {
    if fake.fails.load(Ordering::Relaxed) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn infer(Extract(fake): Extract<Arc<Fake>>, Json(body): Json<Value>) -> Response {
    fake.batches.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(fake.pace_ms)).await;
    if fake.fails.load(Ordering::Relaxed) {
        return (StatusCode::INTERNAL_SERVER_ERROR, "out of order").into_response();
    }
    let input = &body["inputs"][0];
    let doubled: Vec<f64> =
        input["data"].as_array().unwrap().iter().map(|number| 2.0 * number.as_f64().unwrap()).collect();
    let output = json!({ "name": "y", "datatype": "FP64", "shape": input["shape"], "data": doubled });
    Json(json!({ "model_name": "m", "outputs": [output] })).into_response()
}

/// Starts a back end; its address.
async fn serve(fake: &Arc<Fake>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/m", get(metadata))
        .route("/v2/models/m/infer", post(infer))
        .with_state(Arc::clone(fake));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

/// Two nodes that answer in 1 and 2 ms, by what the scenario says.
fn scenario() -> Scenario {
    let text = r#"
        name = "two"
        about = "for tests"
        prior = "mct"
        objective = { kind = "misses", latency = 0.05 }
        nodes = [{ name = "a", kind = "a" }, { name = "b", kind = "b" }]
        [workload.requests]
        count = 5
        rate = { per_second = 10.0 }
        streams = [{ model = "m", share = 1.0, deadline_ms = 90.0 }]
        [measured]
        how = "made up"
        devices = [{ name = "a", class = "cpu" }, { name = "b", class = "cpu" }]
        latencies = [
            { model = "m", device = "a", batch = 1, latency_us = 1000.0 },
            { model = "m", device = "a", batch = 8, latency_us = 1001.0 },
            { model = "m", device = "b", batch = 1, latency_us = 2000.0 },
            { model = "m", device = "b", batch = 8, latency_us = 2001.0 },
        ]
    "#;
    Scenario::parse(text, "two").unwrap()
}

/// A gateway that runs, and how to stop it.
struct Running {
    client: Client,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), GatewayError>>,
}

async fn start(fakes: &[Arc<Fake>], policy: &str, change: fn(&mut RawConfig)) -> Running {
    let mut backends = Vec::new();
    for (node, fake) in ["a", "b"].into_iter().zip(fakes) {
        backends.push(RawBackend { node: node.into(), url: serve(fake).await });
    }
    let models = vec![RawModel { name: "m".into(), deadline_ms: None }];
    let mut raw = RawConfig::new("two".into(), backends, models);
    (raw.listen, raw.health_ms) = ("127.0.0.1:0".into(), 20);
    change(&mut raw);
    let config = raw.check(scenario(), "test").unwrap();
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = oneshot::channel();
    let policies = (registry::build(policy).unwrap(), registry::build("mct").unwrap());
    let ended = tokio::spawn(run(config, policies, false, |address| tell.send(address).unwrap(), async {
        stopped.await.unwrap_or_default();
    }));
    let client = Client::new(&format!("http://{}", told.await.unwrap())).unwrap();
    for _ in 0..100 {
        if client.ready(PATIENCE).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Both are up, unless there is one.
    tokio::time::sleep(Duration::from_millis(60)).await;
    Running { client, stop, ended }
}

impl Running {
    /// The output for a number, and how many shared the batch.
    async fn ask(&self, number: f64) -> Result<(f64, u32), CallError> {
        let input = json!({ "name": "x", "shape": [1, 2], "datatype": "FP64", "data": [number, 0] });
        let body = json!({ "inputs": [input] }).to_string();
        let (headers, body) = self.client.call("m", body.into(), PATIENCE).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let batch = headers[front::BATCH_HEADER].to_str().unwrap().parse().unwrap();
        Ok((answer["outputs"][0]["data"][0].as_f64().unwrap(), batch))
    }

    /// The same for several at once.
    async fn all(&self, count: u32) -> Vec<Result<(f64, u32), CallError>> {
        let calls = (0..count).map(|number| self.ask(f64::from(number)));
        futures(calls).await
    }
}

/// Waits for all, side by side.
async fn futures<F: Future>(calls: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut calls: Vec<_> = calls.map(|call| (Box::pin(call), None)).collect();
    std::future::poll_fn(|context| {
        let mut open = false;
        for (call, output) in calls.iter_mut().filter(|(_, output)| output.is_none()) {
            match call.as_mut().poll(context) {
                std::task::Poll::Ready(done) => *output = Some(done),
                std::task::Poll::Pending => open = true,
            }
        }
        if open { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    calls.into_iter().filter_map(|(_, output)| output).collect()
}

fn fake(pace_ms: u64) -> Arc<Fake> {
    Arc::new(Fake { pace_ms, ..Fake::default() })
}

fn status(error: &CallError) -> u16 {
    match error {
        CallError::Refused { status, .. } => *status,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_gets_his_own_part_of_a_batch() {
    let fakes = [fake(20), fake(20)];
    let gateway = start(&fakes, "fcfs", |_| {}).await;
    let answers = gateway.all(30).await;
    let answers: Vec<(f64, u32)> = answers.into_iter().map(Result::unwrap).collect();
    for (number, (output, _)) in answers.iter().enumerate() {
        assert_eq!(*output, 2.0 * number as f64);
    }
    assert!(answers.iter().any(|(_, batch)| *batch > 2), "{answers:?}");
    let batches: u32 = fakes.iter().map(|fake| fake.batches.load(Ordering::Relaxed)).sum();
    assert!((4..30).contains(&batches), "{batches} batches for 30 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_is_tried_elsewhere_and_not_for_ever() {
    let fakes = [fake(1), fake(1)];
    let gateway = start(&fakes, "fcfs", |raw| raw.health_ms = 10_000).await;
    fakes[0].fails.store(true, Ordering::Relaxed);
    for answer in gateway.all(4).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    fakes[1].fails.store(true, Ordering::Relaxed);
    let gateway = start(&fakes[1..], "fcfs", |raw| (raw.max_wait_ms, raw.attempts) = (100, 1)).await;
    // It never says that it is ready.
    assert_eq!(status(&gateway.ask(1.0).await.unwrap_err()), 503);
    fakes[1].fails.store(false, Ordering::Relaxed);
    let served = async {
        while gateway.ask(1.0).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("it came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_attempt_says_what_went_wrong() {
    let fakes = [fake(50)];
    let gateway = start(&fakes, "fcfs", |raw| raw.attempts = 1).await;
    let asked = gateway.ask(1.0);
    let fails = async {
        while fakes[0].batches.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        fakes[0].fails.store(true, Ordering::Relaxed);
    };
    let (answer, ()) = tokio::join!(asked, fails);
    let error = answer.unwrap_err();
    assert_eq!(status(&error), 502);
    assert!(error.to_string().contains("out of order"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_a_hang_ends() {
    let fakes = [fake(100_000)];
    let gateway = start(&fakes, "fcfs", |raw| {
        (raw.max_queue, raw.max_wait_ms, raw.call_timeout_ms, raw.attempts) = (2, 200, 300, 1);
    })
    .await;
    let first = async { status(&gateway.ask(0.0).await.unwrap_err()) };
    let others = async {
        while fakes[0].batches.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ends = gateway.all(5).await;
        ends.iter().map(|one| status(one.as_ref().unwrap_err())).collect::<Vec<u16>>()
    };
    let (first, mut others) = tokio::join!(first, others);
    others.sort_unstable();
    // Two wait as long as they may, the others find no room.
    assert_eq!((first, others), (502, vec![429, 429, 429, 504, 504]));
}

/// Twelve at once, before the policy has been asked: a device takes eight of them, two may wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_fills_the_free_devices_before_the_queue() {
    let fakes = [fake(50)];
    let backends = vec![RawBackend { node: "a".into(), url: serve(&fakes[0]).await }];
    let models = vec![RawModel { name: "m".into(), deadline_ms: None }];
    let raw = RawConfig { max_queue: 2, ..RawConfig::new("two".into(), backends, models) };
    let config = raw.check(scenario(), "test").unwrap();
    let meta = config.backends[0].as_ref().unwrap().model("m", PATIENCE).await.unwrap();
    let row = || tensor::Row::example(&meta).unwrap();
    let decider = Decider::new(registry::build("fcfs").unwrap(), registry::build("mct").unwrap(), HOLD);
    let stats = Stats::new("fcfs", ["m"].into_iter(), ["a", "b"].into_iter());
    let (sender, events) = std::sync::mpsc::channel();
    sender.send(Event::Health { node: 0, up: true }).unwrap();
    let mut answers = Vec::new();
    for number in 0..12 {
        let (reply, answer) = oneshot::channel();
        let arrival = dispatch::Arrival { number, model: 0, row: row(), deadline: None, reply };
        sender.send(Event::Arrive(arrival)).unwrap();
        answers.push(answer);
    }
    let shared = Arc::new(Shared { metas: vec![OnceLock::from(meta)], config, stats });
    let dispatcher = Dispatcher::new(shared, decider, (sender.clone(), events), Handle::current());
    let thread = std::thread::spawn(|| dispatcher.run());
    let ends = futures(answers.into_iter()).await;
    let batches: Vec<Option<usize>> =
        ends.into_iter().map(|end| end.unwrap().map(|answered| answered.batch).ok()).collect();
    assert_eq!(batches[..8], [Some(8); 8]);
    assert_eq!(batches[8..], [Some(2), Some(2), None, None], "the youngest are turned away");
    sender.send(Event::GiveUp).unwrap();
    thread.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_answers_what_was_taken_in() {
    let fakes = [fake(150)];
    let gateway = start(&fakes, "fcfs", |_| {}).await;
    assert_eq!(gateway.ask(4.0).await.unwrap(), (8.0, 1));
    let Running { client, stop, ended } = gateway;
    let input = json!({ "name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 1] });
    let body = json!({ "inputs": [input] }).to_string();
    let before = fakes[0].batches.load(Ordering::Relaxed);
    let asked = {
        let client = client.clone();
        tokio::spawn(async move { client.call("m", body.into(), PATIENCE).await })
    };
    while fakes[0].batches.load(Ordering::Relaxed) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.send(()).unwrap();
    assert!(asked.await.unwrap().is_ok(), "it was taken in before");
    assert!(tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap().is_ok());
}

/// What comes back for a text, until the other side closes.
async fn raw(address: &str, text: &str) -> String {
    let (address, text) = (address.to_owned(), text.to_owned());
    let ask = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Closed in the middle of what was sent, it may be a reset.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
        String::from_utf8(answer).unwrap()
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_send_on_is_given_up_and_holds_up_no_stop() {
    let gateway = start(&[fake(1)], "fcfs", |raw| raw.read_timeout_ms = 100).await;
    let address = gateway.client.url().strip_prefix("http://").unwrap().to_owned();
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n";
    let answer = raw(&address, head).await;
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("within 100ms (read_timeout_ms)"),
        "{answer}"
    );
    // Not even a head.
    assert_eq!(raw(&address, "POST /v2/models/m/in").await, "");
    assert_eq!(gateway.ask(4.0).await.unwrap(), (8.0, 1));

    let gateway = start(&[fake(1)], "fcfs", |raw| raw.drain_ms = 50).await;
    let address = gateway.client.url().strip_prefix("http://").unwrap().to_owned();
    let mut stalled = TcpStream::connect(&address).unwrap();
    stalled.write_all(head.as_bytes()).unwrap();
    assert_eq!(gateway.ask(4.0).await.unwrap(), (8.0, 1));
    gateway.stop.send(()).unwrap();
    // Longer than drain_ms and a second, shorter than read_timeout_ms.
    let ended = tokio::time::timeout(Duration::from_secs(8), gateway.ended).await;
    assert!(ended.expect("it stops").unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_an_error_as_the_protocol_says_it() {
    let gateway = start(&[fake(1)], "fcfs", |raw| raw.max_body_bytes = 50).await;
    let address = gateway.client.url().strip_prefix("http://").unwrap().to_owned();
    let long = " ".repeat(51);
    for (line, body, status, why) in [
        ("GET /v3", "", 404, "no such path"),
        ("GET /v2/models/m/infer", "", 405, "this path does not take GET"),
        ("POST /v2/models/n/infer", "", 404, "there is no model \\\"n\\\" here"),
        ("POST /v2/models/m/infer", &long, 413, "larger than 50 bytes (max_body_bytes)"),
        ("POST /v2/models/m/infer", "{", 400, "EOF while parsing"),
    ] {
        let length = body.len();
        let head =
            format!("{line} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        let answer = raw(&address, &(head + body)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert!(answer.contains("{\"error\":\"") && answer.contains(why), "{line}: {answer}");
    }
}
