//! What is refused, by name, and what stands for what where little is said.

use super::*;
use crate::units::Span;

const CLUSTER: &str = r#"{"format": 1,
    "nodes": [{"name": "a", "kind": "v100", "devices": 2}, {"name": "b", "kind": "mine", "devices": 4}],
    "kinds": [{"name": "mine", "class": "gpu"}],
    "streams": [{"model": "resnet50"}]}"#;

const STATE: &str = r#"{"format": 1, "now_ns": 100, "jobs": [
    {"id": 7, "arrival_ns": 0, "task": {"rigid": {"requested_ns": 60}}, "takes_ns": {"v100": 60, "mine": 30}},
    {"id": 3, "arrival_ns": 10, "task": {"rigid": {"requested_ns": 50}}, "gang": 2},
    {"id": 9, "arrival_ns": 20, "task": {"request": {"model": "resnet50"}}},
    {"id": 1, "arrival_ns": 30, "task": {"rigid": {"requested_ns": 5}}, "status": "ended"}],
    "running": [{"jobs": [3], "start_ns": 90, "nodes": [{"node": "b", "devices": 2}]}]}"#;

fn site() -> Arc<Site> {
    Arc::new(Site::from_json(CLUSTER).unwrap())
}

fn read(state: &str) -> Result<Snapshot, SnapshotError> {
    Snapshot::new(&site(), &State::from_json(state)?)
}

#[test]
fn what_is_not_said_follows_from_what_is() {
    let snapshot = read(STATE).unwrap();
    let view = snapshot.view();
    assert_eq!(view.free, [2, 2]);
    assert_eq!(view.free_by_kind, [2, 2]);
    assert_eq!(view.in_service, [2, 4]);
    assert_eq!((view.queue, &view.streams[0].queue[..]), (&[JobId(0)][..], &[JobId(2)][..]));
    assert_eq!(
        view.timing.spans(JobId(0)),
        [Span(60), Span(30)],
        "kinds of its own come after the catalogue's"
    );
    assert_eq!(view.running[0].expected_finish, Time(140));
    assert_eq!((view.history.arrivals, view.history.first), (4, Some(Time(0))));
    assert_eq!((snapshot.id(JobId(0)), snapshot.site().kind(1)), (7, "mine"));
}

#[test]
fn a_machine_that_is_closed_counts_while_something_runs_on_it() {
    let closed = |name: &str| STATE.replace("\"running\"", &format!("\"closed\": [\"{name}\"], \"running\""));
    let busy = read(&closed("b")).unwrap();
    assert_eq!((busy.view().free, busy.view().in_service), (&[2, 0][..], &[2, 4][..]));
    let idle = read(&closed("a")).unwrap();
    assert_eq!((idle.view().free, idle.view().in_service), (&[0, 2][..], &[0, 4][..]));
}

#[test]
fn a_snapshot_and_its_text_are_one() {
    let snapshot = read(STATE).unwrap();
    assert_eq!(Snapshot::from_json(&snapshot.to_json()).unwrap(), snapshot);
    assert_eq!(Snapshot::new(snapshot.site(), &snapshot.state()).unwrap(), snapshot);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let refused = |from: &str, to: &str| {
        assert!(STATE.contains(from), "{from} is not in the text");
        read(&STATE.replacen(from, to, 1)).unwrap_err().to_string()
    };
    for (from, to, why) in [
        (r#""format": 1"#, r#""format": 2"#, "the state has format 2, this program reads format 1"),
        (r#""id": 3"#, r#""id": 7"#, "jobs[1].id is 7, it must be an id that no other job has"),
        (
            r#""arrival_ns": 10"#,
            r#""arrival_ns": 101"#,
            "arrival_ns of job 3 is 101, it must be no later than now_ns, 100",
        ),
        (r#""arrival_ns": 20"#, r#""arrival_ns": 5"#, "arrival_ns of job 9 is 5"),
        (r#""gang": 2"#, r#""gang": 0"#, "gang of job 3 is 0"),
        (r#""mine": 30"#, r#""moon": 30"#, r#"takes_ns of job 7 is "moon", which is not known"#),
        (r#""resnet50""#, r#""resnet51""#, "did you mean `resnet50`?"),
        (r#""node": "b", "devices": 2"#, r#""node": "b", "devices": 5"#, r#"devices in use on node "b""#),
        (r#""node": "b""#, r#""node": "c""#, r#"running[0].nodes is "c", which is not known"#),
        (r#""jobs": [3]"#, r#""jobs": [4]"#, "running[0].jobs is 4, it must be the id of one of the jobs"),
        (r#""jobs": [3]"#, r#""jobs": [1]"#, "job 1 in running is there twice, or not waiting by its status"),
        (r#""start_ns": 90"#, r#""start_ns": 900"#, "running[0].start_ns is 900"),
        (r#""running""#, r#""queue": [7, 3], "running""#, "queue is 2 jobs, it must be the 1 jobs that wait"),
        (r#""now_ns": 100"#, r#""now_ns": -1"#, "not a snapshot"),
        (r#""now_ns": 100"#, r#""now_ns": 100, "colour": 1"#, "unknown field `colour`"),
        (r#""running""#, r#""loads": {"a": []}, "running""#, "loads is given, it must be absent"),
        (
            r#""running""#,
            r#""in_service": {"v100": 3}, "running""#,
            "in_service.v100 is 3, it must be at most 2",
        ),
    ] {
        let message = refused(from, to);
        assert!(message.contains(why), "{to}: {message}");
    }
}

#[test]
fn a_cluster_that_cannot_be_is_refused_by_name() {
    for (from, to, why) in [
        (r#""name": "b""#, r#""name": "a""#, r#"nodes[1].name is "a", it must be a name that no other has"#),
        (r#""kind": "mine""#, r#""kind": "yours""#, r#"kind of node "b" is "yours", which is not known"#),
        (r#""devices": 2"#, r#""devices": 0"#, r#"devices of node "a" is 0, it must be from 1 to 1000000"#),
        (r#""name": "mine""#, r#""name": "v100""#, "kinds[0].name"),
        (r#""model": "resnet50""#, r#""model": "mine""#, "streams[0].model without variants"),
        (r#"{"format": 1"#, r#"{"format": 1, "discipline": "commit""#, "discipline is commit"),
    ] {
        assert!(CLUSTER.contains(from), "{from} is not in the text");
        let message = Site::from_json(&CLUSTER.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(message.contains(why), "{to}: {message}");
    }
}

#[test]
fn what_has_ended_long_ago_is_left_out() {
    let mut state = State::from_json(STATE).unwrap();
    let old = JobState { status: Status::Ended, arrival_ns: 0, ..state.jobs[0].clone() };
    let more = (100..600).map(|id| JobState { id, ..old.clone() });
    state.jobs.splice(0..0, more);
    state.trim();
    assert_eq!(state.jobs.len(), REMEMBERED);
    assert_eq!(state.jobs.last().unwrap().id, 1);
    Snapshot::new(&site(), &state).unwrap();
}

#[test]
fn the_example_of_the_documentation_is_a_snapshot() {
    let text = include_str!("../../../docs/snapshot.md");
    let (_, rest) = text.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let snapshot = Snapshot::from_json(example).unwrap();
    let view = snapshot.view();
    assert_eq!((view.free, view.queue.len(), view.streams[0].queue.len()), (&[3, 8][..], 1, 1));
}

#[test]
fn changes_make_the_state_that_they_lead_to() {
    let mut state = State::from_json(STATE).unwrap();
    let before = Snapshot::new(&site(), &state).unwrap();
    let delta = r#"{"format": 1, "now_ns": 150, "ended": [3], "jobs": [
        {"id": 4, "arrival_ns": 120, "task": {"rigid": {"requested_ns": 50}}}],
        "started": [{"jobs": [7], "start_ns": 150, "nodes": [{"node": "a"}]}]}"#;
    state.advance(serde_json::from_str(delta).unwrap()).unwrap();
    let after = Snapshot::after(&before, &state).unwrap();
    let view = after.view();
    assert_eq!((view.free, view.queue.len(), view.history.arrivals), (&[1, 4][..], 1, 5));
    assert_eq!(after.id(view.queue[0]), 4);
    let back = r#"{"format": 1, "now_ns": 149}"#;
    let refused = state.advance(serde_json::from_str(back).unwrap()).unwrap_err().to_string();
    assert!(refused.contains("now_ns is 149"), "{refused}");
}

/// Nothing is remembered of what has not happened yet.
#[test]
fn a_state_from_before_the_last_one_begins_anew() {
    let later = read(&STATE.replace("\"now_ns\": 100", "\"now_ns\": 500")).unwrap();
    let state = State::from_json(STATE).unwrap();
    let back = Snapshot::after(&later, &state).unwrap();
    assert_eq!(back, read(STATE).unwrap());
    assert_eq!(Snapshot::new(&site(), &back.state()).unwrap(), back, "it can be written down");
}

#[test]
fn a_start_is_carried_out_and_told_in_the_senders_names() {
    let mut snapshot = read(STATE).unwrap();
    let told: Told = serde_json::from_str(
        r#"{"start": {"jobs": [7], "nodes": [{"node": "b"}], "batch": 1, "variant": 0}}"#,
    )
    .unwrap();
    let decision = snapshot.hear(&told).unwrap();
    assert_eq!(snapshot.tell(&decision), told);
    assert_eq!(snapshot.carry_out(&decision), Ok(true));
    let view = snapshot.view();
    assert_eq!((view.free, view.queue.len()), (&[2, 1][..], 0));
    assert_eq!(view.running[1].expected_finish, Time(130));
    let again = snapshot.carry_out(&decision).unwrap_err().to_string();
    assert!(again.contains("is not waiting"), "{again}");
    assert!(snapshot.has_choice(), "the request can start");
}
