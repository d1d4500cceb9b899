//! The trainer driven as a process: settings, devices, objectives, sweeps.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use yardmaster_agent::frozen;

fn run(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yardmaster-train"));
    command.args(arguments.split_whitespace()).current_dir(folder).output().unwrap()
}

/// Standard output and standard error of a run that must succeed.
fn ok(folder: &Path, arguments: &str) -> [String; 2] {
    let output = run(folder, arguments);
    let [out, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{arguments}\n{errors}");
    [out, errors]
}

fn fails(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && errors.contains("error: "), "{arguments}\n{errors}");
    errors
}

const SMALL: &str = "steps = 400\nenvs = 4\nrollouts_per_trace = 2\nminibatch = 64\nepochs = 1\nthreads = 1\nvalidation_episodes = 16\n";

#[test]
fn the_printed_settings_are_a_file_to_train_with() {
    let folder = tempfile::tempdir().unwrap();
    let [text, _] = ok(folder.path(), "settings");
    std::fs::write(folder.path().join("all.toml"), &text).unwrap();
    let small = "--steps 200 --envs 4 --threads 1 --objective completion-time+600*energy";
    ok(folder.path(), &format!("--scenario tiny --config all.toml --out run {small}"));
    let get = |file: &str| std::fs::read_to_string(folder.path().join("run").join(file)).unwrap();
    assert!(get("config.toml").contains("objective = \"completion-time+600*energy\""));
    assert!(get("curves.svg").starts_with("<svg"));
    let rows = get("metrics.jsonl");
    let cpu = |line: &str| serde_json::from_str::<Value>(line).unwrap()["performance/cpu_seconds"].as_f64();
    assert!(rows.lines().all(|line| cpu(line).is_some_and(|seconds| seconds >= 0.0)), "{rows}");
}

#[test]
fn several_scenarios_take_turns_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let few = fails(folder.path(), "--scenario tiny,gang,mix --out run --envs 8 --threads 1");
    assert!(few.contains("set envs to 12 at least"), "{few}");
    let twice = fails(folder.path(), "--scenario tiny,gang,tiny --out run");
    assert!(twice.contains("scenario tiny is named twice"), "{twice}");

    let teacher = "teach = 1\nteach_states = 3\n";
    std::fs::write(folder.path().join("c.toml"), format!("{SMALL}{teacher}")).unwrap();
    ok(folder.path(), "--scenario tiny,gang --config c.toml --steps 100 --out run");
    let rows = std::fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    let first: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    let ratio = |scenario: &str| first[format!("eval/{scenario}/ratio_to_best_heuristic")].as_f64().unwrap();
    let mean = (ratio("tiny") + ratio("gang")) / 2.0;
    assert!(
        (ratio("mean") - mean).abs() < 1e-9 && (first["eval/score"].as_f64().unwrap() - mean).abs() < 1e-9
    );

    ok(folder.path(), "export --run run --out policy.safetensors");
    let frozen = frozen::read(&std::fs::read(folder.path().join("policy.safetensors")).unwrap()).unwrap();
    let origin = &frozen.card().origin;
    let prior = "price(alpha=1.5,fetch=3,preempt=0.3,migrate=0.7,width=1)+tardiness(patience=1)+room(wait=0.3,width=1.6,overtake=0.3)";
    assert_eq!((origin.scenario.as_str(), origin.prior.as_str()), ("tiny,gang", prior));
    let worths = origin.benchmarks();
    assert_eq!(worths.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["tiny", "gang"]);
    assert!(worths.iter().all(|(_, worth)| worth["ratio_to"]["fcfs"]["ratio"].is_number()));
}

/// In the last round of the teacher the policy itself goes on after each action that is tried.
#[test]
fn a_teacher_goes_on_with_the_rule_or_with_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let regrets = |name: &str, tail: u64, actions: usize| -> Vec<Value> {
        let teacher = "teach = 2\nteach_prior = 2\nteach_states = 100\nteach_futures = 2\nteach_horizon = 4\nteach_epochs = 20\nteach_average = 0.0\n";
        let settings = format!("{SMALL}{teacher}teach_tail = {tail}\nteach_tail_actions = {actions}\n");
        std::fs::write(folder.path().join("c.toml"), settings).unwrap();
        ok(folder.path(), &format!("--scenario tiny --config c.toml --steps 100 --out {name}"));
        let rows = std::fs::read_to_string(folder.path().join(name).join("metrics.jsonl")).unwrap();
        let row = |line: &str| serde_json::from_str::<Value>(line).unwrap()["teach/least_regret"].clone();
        rows.lines().take(2).map(row).collect()
    };
    let [rule, policy] = [regrets("rule", 0, 4), regrets("policy", 1, 4)];
    assert!(rule.iter().chain(&policy).all(Value::is_number), "{rule:?} {policy:?}");
    assert_eq!(rule[0], policy[0], "the same in the first round");
    assert_ne!(rule[1], policy[1], "other costs in the second");
    let alone = regrets("alone", 1, 1);
    assert_eq!(
        (&alone[0], alone[1].as_f64()),
        (&rule[0], Some(0.0)),
        "the rule's own action and no other is tried"
    );
}

/// A frozen policy teaches in its scenario, on other numbers of nodes too; elsewhere the teacher does.
#[test]
fn a_frozen_policy_is_a_tutor() {
    let folder = tempfile::tempdir().unwrap();
    let rounds = |name: &str, scenario: &str, settings: &str| -> Vec<Value> {
        std::fs::write(
            folder.path().join("c.toml"),
            format!("{SMALL}teach_futures = 1\nteach_horizon = 4\n{settings}"),
        )
        .unwrap();
        ok(folder.path(), &format!("--scenario {scenario} --config c.toml --steps 100 --out {name}"));
        let rows = std::fs::read_to_string(folder.path().join(name).join("metrics.jsonl")).unwrap();
        rows.lines().take(2).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    rounds("first", "tiny", "teach = 1\n");
    ok(folder.path(), "export --run first --out tutor.safetensors");
    // Any tutor is better than this one.
    let tutored =
        "prior = \"random\"\nteach = 2\ntutor = 1\ntutors = [\"tutor.safetensors\"]\ntutor_states = 100\n";
    let found = |name: &str, scenario: &str| {
        let rounds = rounds(name, scenario, tutored);
        let of = |round: usize, what: &str| rounds[round][format!("teach/{what}")].as_f64().unwrap();
        [of(0, "surprise"), of(0, "least_regret"), of(1, "surprise"), of(1, "least_regret")]
    };
    let [surprise, least, later, tried] = found("second", "tiny@2");
    assert!(surprise > 0.0 && least == 0.0, "the first round is the tutor's: {surprise} {least}");
    assert!(later == 0.0 && tried < 0.0, "the second is the teacher's: {later} {tried}");
    let [surprise, least, ..] = found("both", "tiny,gang");
    assert!(surprise > 0.0 && least < 0.0, "gang has no tutor: {surprise} {least}");
    let refused = fails(folder.path(), "--scenario gang --config c.toml --out elsewhere");
    assert!(
        refused.contains("tutor tutor.safetensors was trained in tiny, which is none of the scenarios"),
        "{refused}"
    );
    std::fs::write(folder.path().join("c.toml"), "teach = 2\ntutor = 1\ntutors = [\"none.safetensors\"]")
        .unwrap();
    let refused = fails(folder.path(), "--scenario tiny --config c.toml --out elsewhere");
    assert!(refused.contains("tutor none.safetensors: cannot read"), "{refused}");
    std::fs::write(folder.path().join("c.toml"), "tutor = 1").unwrap();
    let refused = fails(folder.path(), "--scenario tiny --config c.toml --out elsewhere");
    assert!(refused.contains("give both or neither"), "{refused}");
}

/// As long as only the critic learns, the policy stays the one that the run started from.
#[test]
fn a_run_starts_from_a_frozen_policy() {
    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str, scenario: &str, settings: &str| {
        std::fs::write(folder.path().join("c.toml"), format!("{SMALL}{settings}")).unwrap();
        ok(folder.path(), &format!("--scenario {scenario} --config c.toml --steps 100 --out {name}"));
        ok(folder.path(), &format!("export --run {name} --out {name}.safetensors"));
        frozen::read(&std::fs::read(folder.path().join(format!("{name}.safetensors"))).unwrap()).unwrap()
    };
    let first = train("first", "tiny", "teach = 1\nteach_futures = 1\nteach_horizon = 4\n");
    let second = train("second", "gang", "teach = 0\nstart = \"first.safetensors\"\n");
    assert_eq!(second.net().params(), first.net().params());
    let other = train("other", "gang", "teach = 0\n");
    assert_ne!(other.net().params(), first.net().params());
    let refused = |settings: &str| {
        std::fs::write(folder.path().join("c.toml"), settings).unwrap();
        fails(folder.path(), "--scenario tiny --config c.toml --out elsewhere")
    };
    let error = refused("start = \"none.safetensors\"");
    assert!(error.contains("start = \"none.safetensors\": cannot read"), "{error}");
    let error = refused("start = \"first.safetensors\"\n[sizes]\nhidden = 8");
    assert!(error.contains("start = \"first.safetensors\": it has Sizes"), "{error}");
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let with = |setting: &str| {
        std::fs::write(folder.path().join("c.toml"), setting).unwrap();
        fails(folder.path(), "--scenario tiny --config c.toml --out run")
    };
    assert!(with("stepz = 3").contains("unknown field `stepz`"));
    assert!(with("device = \"gpu\"").contains("give \"cpu\", \"cuda\" or \"cuda:N\""));
    assert!(with("device = \"cuda:60\"").contains("device = \"cuda:60\": this libtorch sees "));
    assert!(with("objective = \"speed\"").contains("there is no objective \"speed\""));
    assert!(fails(folder.path(), "sweep absent.toml --out runs").contains("cannot read absent.toml"));
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_sweep_goes_on_where_it_was_and_sums_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    let spec = format!(
        "scenarios = [\"tiny\"]\nseeds = [1, 2]\njobs = 2\n[config]\n{SMALL}[grid]\nlearning_rate = [1e-3, 1e-4]\n"
    );
    std::fs::write(path("sweep.toml"), &spec).unwrap();
    let [table, errors] = ok(folder.path(), "sweep sweep.toml --out runs");
    assert_eq!(errors.matches(": training").count(), 4, "{errors}");
    assert_eq!(table, std::fs::read_to_string(path("runs/summary.md")).unwrap());
    assert_eq!(table.matches("| tiny | learning_rate=0.00").count(), 2, "{table}");
    let rows: Value =
        serde_json::from_str(&std::fs::read_to_string(path("runs/summary.json")).unwrap()).unwrap();
    for row in rows.as_array().unwrap() {
        let each = row["validation"]["each"].as_array().unwrap();
        assert_eq!((row["seeds"].as_array().unwrap().len(), each.len()), (2, 2), "{row}");
        assert!(row["test"].is_null() && row["cpu_min"]["mean"].as_f64().unwrap() > 0.0, "{row}");
    }
    let curves = std::fs::read_to_string(path("runs/curves-tiny.svg")).unwrap();
    assert!(curves.contains("learning_rate=0.0001"), "the variants are named");

    // One run lost its end: it alone goes on.
    std::fs::remove_file(path("runs/tiny/learning_rate=0.001/seed-2/curves.svg")).unwrap();
    let [again, errors] = ok(folder.path(), "sweep sweep.toml --out runs");
    assert_eq!(errors.matches(": training").count(), 1, "{errors}");
    let ratios = |table: &str| table.lines().filter_map(|line| line.split('|').nth(4)).collect::<String>();
    assert_eq!(ratios(&again), ratios(&table));

    std::fs::write(path("sweep.toml"), spec.replace("envs = 4", "envs = 8")).unwrap();
    let error = fails(folder.path(), "sweep sweep.toml --out runs");
    assert!(error.contains("seed-1 was made with other settings"), "{error}");
}
