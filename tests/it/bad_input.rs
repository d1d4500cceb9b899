//! What is wrong is refused by name, before the work begins, and nothing half-written is left behind.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use yardmaster_agent::frozen::{self, Frozen, Origin};
use yardmaster_agent::net::{Dims, Layout, PolicyNet, Sizes};
use yardmaster_env::observe::{Observation, Pair, Schema};

use crate::support::{Bench, ours, small_swf};

fn small() -> String {
    std::fs::read_to_string(small_swf()).unwrap()
}

fn tiny() -> String {
    std::fs::read_to_string(ours("env/scenarios/tiny.toml")).unwrap()
}

/// Replaces what must be there.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in: {error}");
    }
}

#[test]
fn a_missing_trace_is_named() {
    let bench = Bench::new();
    for command in ["simulate --policy sjf --trace", "inspect"] {
        assert_says(&bench.fails(&format!("{command} none.swf")), &["cannot read none.swf", "No such file"]);
    }
}

#[test]
fn a_truncated_trace_is_refused_where_it_breaks_off() {
    let bench = Bench::new();
    let small = small();
    let row = small.lines().position(|line| line.trim_start().starts_with("20 ")).unwrap();
    let before: usize = small.lines().take(row).map(|line| line.len() + 1).sum();
    for kept in [10, 30, 50, 60] {
        bench.put("cut.swf", &small[..before + kept]);
        let error = bench.fails("simulate --trace cut.swf --policy sjf");
        assert_says(&error, &[&format!("cut.swf line {}", row + 1), "cut off"]);
    }
    bench.put("empty.swf", "");
    assert_says(&bench.fails("inspect empty.swf"), &["empty.swf", "MaxNodes"]);
}

#[test]
fn a_letter_in_a_number_is_found() {
    let bench = Bench::new();
    bench.put("letter.swf", changed(&small(), "   3      30   184", "   3      30   1x4"));
    let line = 1 + small().lines().position(|line| line.starts_with("    3 ")).unwrap();
    let error = bench.fails("simulate --trace letter.swf --policy sjf");
    assert_says(&error, &[&format!("letter.swf line {line}"), "field 3", "`1x4`"]);
}

#[test]
fn a_job_larger_than_the_cluster_is_refused_and_the_rest_goes_on() {
    let bench = Bench::new();
    bench.put("big.swf", changed(&small(), " 47   29     43.71 -1   30", " 47   29     43.71 -1  300"));
    for queue in ["free", "commit", "commit-backfill"] {
        let output = bench.run(&format!("simulate --trace big.swf --policy sjf --queue {queue} --json -"));
        assert!(output.status.success());
        let measures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((measures["jobs"].as_u64(), measures["refused"].as_u64()), (Some(38), Some(1)), "{queue}");
        assert_eq!(measures["refused_jobs"][0]["job_id"], 7);
        assert_says(&String::from_utf8(output.stderr).unwrap(), &["refused job 7", "75 devices", "16"]);
    }
}

#[test]
fn an_unknown_policy_brings_the_near_ones_to_mind() {
    let bench = Bench::new();
    for command in ["simulate --scenario tiny --policy sfj", "bench --scenario tiny --policies mct,sfj"] {
        assert_says(
            &bench.fails(command),
            &["unknown policy \"sfj\"", "did you mean sjf", "yardmaster policies"],
        );
    }
    for (policy, said) in [("fcfs+mct", "two order rules"), ("mct+timeout(s=1)", "valid is ms")] {
        assert_says(&bench.fails(&format!("simulate --scenario tiny --policy {policy}")), &[said]);
    }
    assert_says(&bench.fails("bench --scenario tiny --policies mct,mct"), &["mct takes part twice"]);
}

#[test]
fn an_unknown_scenario_brings_the_near_one_to_mind() {
    let bench = Bench::new();
    for command in ["simulate --policy mct --scenario tyni", "bench --scenario tyni", "inspect tyni"] {
        assert_says(&bench.fails(command), &["unknown scenario \"tyni\"", "did you mean `tiny`"]);
    }
    for command in
        ["simulate --policy mct --scenario none.toml", "bench --scenario none.toml", "inspect none.toml"]
    {
        assert_says(&bench.fails(command), &["cannot read none.toml"]);
    }
    for file in ["none.bin", "folder/none"] {
        assert_says(&bench.fails(&format!("inspect {file}")), &[&format!("cannot read {file}")]);
    }
    bench.put("data.bin", "?");
    assert_says(&bench.fails("inspect data.bin"), &["data.bin", ".safetensors"]);
}

#[test]
fn a_mistake_in_a_scenario_file_is_named() {
    let cases: [(&str, &str, &[&str]); 7] = [
        ("objective =", "objectve =", &["line 3", "`objectve`", "`objective`"]),
        ("kind = \"v100\"", "kind = \"v10\"", &["unknown device kind \"v10\"", "did you mean `v100`"]),
        ("kind = \"completion-time\"", "kind = \"speed\"", &["line 3", "speed", "completion-time"]),
        ("prior = \"mct\"", "prior = \"mtc\"", &["`prior`", "unknown policy \"mtc\"", "did you mean mct"]),
        ("load = 0.8", "load = -0.8", &["`load` is -0.8", "above 0"]),
        ("jobs = 12", "jobs = 0", &["`jobs` is 0"]),
        ("jobs = 12", "jobs = twelve", &["own.toml", "line"]),
    ];
    let bench = Bench::new();
    for (from, to, said) in cases {
        bench.put("own.toml", changed(&tiny(), from, to));
        for command in
            ["inspect own.toml", "simulate --scenario own.toml --policy mct", "bench --scenario own.toml"]
        {
            let error = bench.fails(command);
            assert_says(&error, &["own.toml"]);
            assert_says(&error, said);
        }
    }
}

/// A frozen policy of zeros that reads these features.
fn frozen(schema: Schema) -> Vec<u8> {
    let (dims, sizes) = (Dims::from(&schema), Sizes::default());
    let params = vec![0.0; Layout::policy(&dims, &sizes).total()];
    let net = PolicyNet::new(dims, sizes, 1.0, &params).unwrap();
    let case = Observation {
        global: vec![0.0; schema.global.len()],
        jobs: vec![0.0; schema.job.len()],
        nodes: vec![0.0; schema.node.len()],
        pairs: vec![Pair { job: 0, node: 0 }],
        pair_features: vec![0.0; schema.pair.len()],
        wait: true,
    };
    let text = str::to_owned;
    let origin = Origin {
        schema,
        prior: text("mct"),
        mask_rule: text("legal candidates"),
        objective: text("completion-time"),
        scenario: text("tiny"),
        scenario_digest: text("00"),
        command: text("none"),
        revision: text("none"),
        seed: 0,
        steps: 0,
        benchmark: serde_json::Value::Null,
    };
    frozen::to_bytes(&Frozen::new(origin, net, &vec![(case, Some(0)); 8]).unwrap()).unwrap()
}

#[test]
fn a_whole_frozen_policy_is_used_as_its_prior_where_its_weights_are_zero() {
    let bench = Bench::new();
    bench.put("zero.safetensors", frozen(Schema::current()));
    let run = |who: &str| bench.ok(&format!("simulate --scenario tiny --seed 2 {who} --starts -"));
    assert_eq!(run("--checkpoint zero.safetensors"), run("--policy mct"));
    assert_says(&bench.ok("inspect zero.safetensors"), &["usable here    yes", "golden cases   8"]);
    let table = bench.ok("bench --scenario tiny --policies mct --checkpoint zero.safetensors --episodes 2");
    assert_says(&table, &["│ zero ", "zero against mct"]);
    bench.put("mct.safetensors", frozen(Schema::current()));
    let table = bench.ok("bench --scenario tiny --policies mct --checkpoint mct.safetensors --episodes 2");
    assert_says(&table, &["│ mct.safetensors ", "mct.safetensors against mct"]);
}

#[test]
fn a_damaged_frozen_policy_is_refused() {
    let whole = frozen(Schema::current());
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 0x40;
    let cases: [(&str, &[u8], &[&str]); 6] = [
        ("empty", b"", &["cut short"]),
        ("header", &whole[..whole.len() / 8], &["cut short"]),
        ("tail", &whole[..whole.len() - 1], &["cut short"]),
        ("longer", &[whole.as_slice(), b"x"].concat(), &["safetensors"]),
        ("garbage", &[0xa5; 4000], &["no safetensors file", "yardmaster-train export"]),
        ("flipped", &flipped, &["digest"]),
    ];
    let bench = Bench::new();
    for (name, bytes, said) in cases {
        let file = format!("{name}.safetensors");
        bench.put(&file, bytes);
        for command in
            ["inspect", "simulate --scenario tiny --checkpoint", "bench --scenario tiny --checkpoint"]
        {
            let error = bench.fails(&format!("{command} {file}"));
            assert_says(&error, &[&format!("{file} is not a usable frozen policy")]);
            assert_says(&error, said);
        }
    }
}

#[test]
fn a_frozen_policy_of_another_schema_is_refused() {
    let mut schema = Schema::current();
    schema.job[0] = "hour_of_day".to_owned();
    let bench = Bench::new();
    bench.put("other.safetensors", frozen(schema));
    for command in ["simulate --scenario tiny --checkpoint", "bench --scenario tiny --checkpoint"] {
        let error = bench.fails(&format!("{command} other.safetensors"));
        assert_says(&error, &["other.safetensors", "job feature 0", "`hour_of_day`"]);
    }
    assert_says(&bench.ok("inspect other.safetensors"), &["usable here    no", "hour_of_day"]);
}

#[test]
fn an_output_that_cannot_be_written_fails_before_the_work_and_leaves_nothing() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("folder")).unwrap();
    let work = "bench --scenario all --episodes 100000";
    let simulate = "simulate --scenario tiny --policy mct";
    for option in ["--json", "--markdown"] {
        let error = bench.fails(&format!("{work} {option} none/x"));
        assert_says(&error, &["cannot write none/x", "no folder none"]);
        assert_says(
            &bench.fails(&format!("{work} {option} folder")),
            &["cannot write folder", "it is a folder"],
        );
    }
    for option in ["--json", "--starts", "--gantt"] {
        assert_says(&bench.fails(&format!("{simulate} {option} none/x")), &["no folder none"]);
    }
    // One good output beside a bad one is not written either.
    bench.fails(&format!("{simulate} --json good.json --starts none/x"));
    assert_eq!(bench.list(), ["folder"]);
}

#[cfg(unix)]
#[test]
fn a_protected_file_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.put("old.json", "old");
    std::fs::set_permissions(bench.path("old.json"), PermissionsExt::from_mode(0o444)).unwrap();
    if std::fs::OpenOptions::new().append(true).open(bench.path("old.json")).is_ok() {
        println!("skipped: this user may write anything");
        return;
    }
    let error = bench.fails("simulate --scenario tiny --policy mct --json old.json");
    assert_says(&error, &["cannot write old.json", "Permission denied"]);
    assert_eq!((bench.get("old.json").as_str(), bench.list()), ("old", vec!["old.json".to_owned()]));
}

#[test]
fn a_failed_run_leaves_an_old_result_alone() {
    let bench = Bench::new();
    bench.put("old.json", "old");
    bench.fails("simulate --scenario tiny --policy sfj --json old.json");
    assert_eq!((bench.get("old.json").as_str(), bench.list()), ("old", vec!["old.json".to_owned()]));
    bench.ok("simulate --scenario tiny --policy sjf --json old.json");
    assert!(bench.get("old.json").contains("mean_jct_s"));
}

#[test]
fn two_outputs_never_share_a_place() {
    let bench = Bench::new();
    let error = bench.fails("simulate --scenario tiny --policy mct --json - --starts -");
    assert_says(&error, &["--json and --starts cannot both"]);
    assert_says(&bench.fails("bench --scenario tiny --json x --markdown x"), &["--json and --markdown"]);
}

#[test]
fn numbers_out_of_range_are_refused() {
    let bench = Bench::new();
    let trace = small_swf();
    let first = bench.fails(&format!("simulate --trace {trace} --policy sjf --first 39"));
    assert_says(&first, &["--first 39", "only 39 jobs"]);
    assert_says(&bench.fails(&format!("simulate --trace {trace} --policy sjf --jobs 0")), &["--jobs"]);
    for episodes in ["0", "-1", "many"] {
        let command = format!("bench --scenario tiny --episodes={episodes}");
        assert_says(&bench.fails(&command), &["--episodes"]);
    }
}

#[test]
fn a_discipline_that_the_cluster_does_not_allow_is_refused() {
    let error = Bench::new().fails("simulate --scenario tiny --policy mct --queue commit");
    assert_says(&error, &["discipline commit", "one device kind"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let bench = Bench::new();
    for arguments in ["policies", "simulate --scenario serving-burst --policy mct --starts -"] {
        let mut child =
            bench.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!line.is_empty());
    }
}

#[test]
fn without_the_trainer_the_command_says_how_to_build_it() {
    let bench = Bench::new();
    // A copy of the command in a folder without the trainer.
    let alone = bench.path("yardmaster");
    std::fs::copy(env!("CARGO_BIN_EXE_yardmaster"), &alone).unwrap();
    let output = std::process::Command::new(&alone)
        .args(["train", "--scenario", "tiny"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_says(
        &error,
        &["yardmaster-train", "scripts/libtorch.sh", "cargo build --release -p yardmaster-train"],
    );
}
