//! `bench` and `tune` as a user drives them: outputs, interruption, failures, traces and tuned parameters.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::Value;

use crate::support::{Bench, frozen, ours, small_swf};

#[test]
fn the_table_of_a_small_comparison() {
    let bench = Bench::new();
    bench.ok("bench --scenario tiny --policies fcfs,sjf,mct --episodes 5 --tuned none --markdown table.md");
    expect![[r#"
        tiny: completion-time [s], 5 test episodes (seed 1)

        | policy |  mean |  95 % interval |   p50 |    p90 |    p99 |  worst |   ratio to best rule | won | differs | mean JCT | longest wait |
        |--------|-------|----------------|-------|--------|--------|--------|----------------------|-----|---------|----------|--------------|
        | mct    | 74442 | [3113, 145771] | 57784 | 171839 | 171839 | 171839 |                    - |   - |       - |  74442 s |     145081 s |
        | sjf    | 80869 | [8668, 153070] | 60404 | 177539 | 177539 | 177539 | 1.086 [0.982, 1.190] |   0 |      no |  80869 s |      91211 s |
        | fcfs   | 83841 | [3878, 163804] | 60404 | 192467 | 192467 | 192467 | 1.126 [1.069, 1.183] |   0 |     yes |  83841 s |     138555 s |

        - NOT significantly different from mct: sjf

        Lower is better. All policies play the same episodes. Intervals are 95 % t intervals over episodes, those of ratios paired; each holds for itself. A difference counts as significant only if its p value, adjusted for all pairs of policies in the scenario (t test of the paired ratio, Holm 1979), is below 0.05. The best rule is chosen on these same episodes, which flatters it a little. Worst is the worst episode; the longest wait is that of any job in any episode.
    "#]].assert_eq(&bench.get("table.md"));
}

#[test]
fn csv_has_a_row_for_each_policy_and_episode_with_the_numbers_of_the_json() {
    let bench = Bench::new();
    let run = "bench --scenario tiny,serving-burst --policies fcfs,mct --episodes 3 --csv rows.csv --json bench.json";
    bench.ok(run);
    let list: Value = serde_json::from_str(&bench.get("bench.json")).unwrap();
    let text = bench.get("rows.csv");
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let header = table.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), 2 * 2 * 3);
    for row in &rows {
        let scenario =
            list.as_array().unwrap().iter().find(|one| one["scenario"] == row[at("scenario")]).unwrap();
        let of = |policy: &Value| policy["policy"] == row[at("policy")];
        let policy = scenario["policies"].as_array().unwrap().iter().find(|policy| of(policy)).unwrap();
        let episode: usize = row[at("episode")].parse().unwrap();
        assert_eq!(
            row[at("value")].parse::<f64>().unwrap(),
            policy["per_episode"][episode].as_f64().unwrap()
        );
        assert_eq!(&row[at("failed")], "");
    }
    let kinds = &rows[0][at("utilization_by_kind")];
    assert!(kinds.starts_with("k80=0.") && kinds.contains(" v100=0."), "{kinds}");
}

/// Drives a comparison that takes a while and kills it once it has done something; gives what it left.
fn killed(bench: &Bench, run: &str) -> String {
    let mut child: std::process::Child = Command::stdout(&mut bench.command(run), Stdio::null())
        .stderr(Stdio::null())
        .env("RAYON_NUM_THREADS", "1")
        .spawn()
        .unwrap();
    let (partial, begin) = (bench.path("bench.json.partial"), Instant::now());
    let lines = || std::fs::read_to_string(&partial).unwrap_or_default().lines().count();
    while lines() < 3 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing has been written");
        assert!(child.try_wait().unwrap().is_none(), "it was done before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.path("bench.json").exists(), "nothing half-written");
    std::fs::read_to_string(&partial).unwrap()
}

const LONG: &str = "bench --scenario datacenter --policies fcfs,mct --episodes 8 --json bench.json";

#[test]
fn a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes() {
    let (bench, undisturbed) = (Bench::new(), Bench::new());
    killed(&bench, LONG);
    bench.ok(LONG);
    undisturbed.ok(LONG);
    assert_eq!(bench.get("bench.json"), undisturbed.get("bench.json"));
    assert_eq!(bench.list(), ["bench.json"], "the journal is gone, and the kill left no draft behind");
}

#[test]
fn what_was_done_before_a_kill_is_not_done_again() {
    let bench = Bench::new();
    let partial = killed(&bench, LONG);
    let first: Value = serde_json::from_str(partial.lines().next().unwrap()).unwrap();
    let objective = first["played"]["objective"].to_string();
    bench.put("bench.json.partial", partial.replacen(&objective, "12345.5", 1));
    bench.ok(LONG);
    assert!(bench.get("bench.json").contains("12345.5"), "the remembered value is taken");
}

#[test]
fn a_policy_that_fails_is_reported_everywhere_and_the_rest_goes_on() {
    // A policy that always waits: for ever where it may, with requests that could be held back.
    let bench = Bench::new();
    bench.put("waits.safetensors", frozen("pool12", 1000.0));
    let run = "bench --scenario serving-burst,tiny --policies fcfs,edf --episodes 2 --checkpoint waits.safetensors \
               --json bench.json --markdown table.md --csv rows.csv --html report.html";
    let output = bench.run(run);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("error: 1 failed: waits in serving-burst"), "{errors}");
    let list: Value = serde_json::from_str(&bench.get("bench.json")).unwrap();
    let counts = [0, 1].map(|at| list[at]["policies"].as_array().unwrap().len());
    assert_eq!(counts, [2, 3], "the rest is there");
    let failure = &list[0]["failed"][0];
    assert_eq!((failure["policy"].as_str(), failure["episode"].as_u64()), (Some("waits"), Some(0)));
    let why = failure["why"].as_str().unwrap();
    assert!(why.contains("does not come to an end"), "{why}");
    for file in ["table.md", "rows.csv", "report.html"] {
        assert!(bench.get(file).contains(why), "{file}");
    }
    assert!(!bench.path("bench.json.partial").exists());
}

/// Elements that are open at the end, none for a well-formed page; attributes are quoted.
fn check_markup(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("an HTML page");
    // What stands in a style is no markup.
    while let Some(at) = rest.find('<') {
        assert!(
            !rest[..at].contains('>') || open.last() == Some(&"style"),
            "stray > before {:.80}",
            &rest[at..]
        );
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        assert!(tag.matches('"').count().is_multiple_of(2), "unbalanced quotes in <{tag}>");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes something else");
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

#[test]
fn all_rules_may_be_joined_by_others() {
    let bench = Bench::new();
    let count = |list: &str| {
        bench.ok(&format!("bench --scenario tiny --policies {list} --episodes 2 --json out.json"));
        let found: Value = serde_json::from_str(&bench.get("out.json")).unwrap();
        std::fs::remove_file(bench.path("out.json")).unwrap();
        found[0]["policies"].as_array().unwrap().len()
    };
    assert_eq!(count("all,room"), count("all") + 1);
    assert_eq!(count("mct,all"), count("all"), "what is named beside all counts once");
}

#[test]
fn the_report_is_one_well_formed_page_that_needs_nothing_else() {
    let bench = Bench::new();
    bench.ok("bench --scenario tiny,serving-burst,hpc-256 --policies all --episodes 3 --html report.html");
    let page = bench.get("report.html");
    check_markup(&page);
    let plain = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "<script", "<link", "<img", "@import", "url(", "src="] {
        assert!(!plain.contains(outside), "{outside}");
    }
    for said in ["mct+timeout", "tiny", "hpc-256", "not significant", "longest wait", "utilization of t4"] {
        assert!(page.contains(said), "{said} is missing");
    }
    let drawn = |class: &str| {
        page.matches(&format!("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\"")).count()
    };
    assert_eq!(drawn("figure"), 3 * 2, "a distribution and the use over time of each scenario");
    assert_eq!(drawn("gantt"), 3 * 8, "a schedule a policy, at most eight");
    assert!(!page.contains("NaN") && page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
fn windows_of_a_trace_are_episodes() {
    let bench = Bench::new();
    let trace = small_swf();
    let list = bench.json(&format!("bench --trace {trace} --jobs 10 --policies fcfs,sjf --json -"));
    let cut = &list[0]["windows"];
    assert_eq!((&cut["jobs"], &cut["first"]), (&Value::from(10), &serde_json::json!([0, 10, 20])));
    assert_eq!(list[0]["objective"], "completion-time");
    for (at, first) in [0, 10, 20].into_iter().enumerate() {
        let one =
            bench.json(&format!("simulate --trace {trace} --first {first} --jobs 10 --policy sjf --json -"));
        assert_eq!(list[0]["policies"][1]["per_episode"][at], one["objective"], "window {first}");
    }
    let two = bench
        .json(&format!("bench --trace {trace} --jobs 10 --episodes 2 --seed 4 --policies fcfs --json -"));
    let first = two[0]["windows"]["first"].as_array().unwrap();
    assert!(first.len() == 2 && first[0].as_u64() < first[1].as_u64(), "{first:?}");

    let whole =
        bench.ok(&format!("bench --trace {trace} --policies fcfs,sjf --queue commit --objective slowdown"));
    assert!(
        whole.contains("slowdown [x], 1 windows of 39 jobs")
            && whole.contains("nothing can be said about chance")
    );
    let error = bench.fails(&format!("bench --trace {trace} --jobs 10 --episodes 9"));
    assert!(error.contains("39 jobs") && error.contains("3 window(s)"), "{error}");
    assert!(bench.fails(&format!("bench --trace {trace} --jobs 40")).contains("only 39 jobs"));
    assert!(bench.fails("bench --scenario tiny --jobs 4").contains("--jobs"));
}

/// As published protocols have it: windows that begin at given jobs and may overlap.
#[test]
fn windows_begin_where_they_are_told_to() {
    let bench = Bench::new();
    let trace = small_swf();
    let command = format!("bench --trace {trace} --jobs 10 --queue commit --policies fcfs --json -");
    let list = bench.json(&format!("{command} --starts 7,2,29"));
    assert_eq!(list[0]["windows"]["first"], serde_json::json!([7, 2, 29]));
    let side_by_side = bench.json(&command);
    let beside = bench.json(&format!("{command} --starts 20,0,10"));
    let each = |list: &Value| list[0]["policies"][0]["per_episode"].as_array().unwrap().clone();
    let [first, second, third] = &each(&side_by_side)[..] else { panic!("three windows") };
    assert_eq!(each(&beside), [third.clone(), first.clone(), second.clone()]);
    let error = bench.fails(&format!("{command} --starts 30"));
    assert!(error.contains("--starts 30") && error.contains("at 29 at the latest"), "{error}");
}

/// A trace as a scenario: sequences of its first part to learn from, of its last to report on.
#[test]
fn a_scenario_may_be_a_trace() {
    let bench = Bench::new();
    bench.put("jobs.swf", std::fs::read_to_string(small_swf()).unwrap());
    let scenario = |table: &str| {
        format!(
            "name = \"recorded\"\nabout = \"a trace\"\ndiscipline = \"commit\"\nprior = \"sjf\"\n\
             objective = {{ kind = \"slowdown\", floor_s = 10.0 }}\n\
             [[nodes]]\nname = \"pool\"\nkind = \"processor\"\ncount = 16\ndevices = 4\n[workload.recorded]\n{table}"
        )
    };
    bench.put("recorded.toml", scenario("file = \"jobs.swf\"\njobs = 8\n"));
    let list = bench.json("bench --scenario recorded.toml --policies fcfs,sjf --episodes 6 --json -");
    let one = list[0]["policies"][0]["per_episode"].as_array().unwrap();
    assert_eq!(one.len(), 6);
    bench.put("absent.toml", scenario("file = \"absent.swf\"\njobs = 8\n"));
    let error = bench.fails("bench --scenario absent.toml --policies fcfs");
    assert!(error.contains("absent.toml") && error.contains("absent.swf"), "{error}");
    bench.put("long.toml", scenario("file = \"jobs.swf\"\njobs = 30\n"));
    let error = bench.fails("bench --scenario long.toml --policies fcfs");
    assert!(error.contains("fewer jobs than a sequence"), "{error}");
}

#[test]
fn one_tuning_may_be_for_several_scenarios() {
    let bench = Bench::new();
    let table = bench.ok("tune --scenario tiny,serving-burst --policies price(fetch=1,preempt=0,migrate=0,width=0)+tardiness(cap=0.7,patience=0.8) --episodes 2 --out both.toml");
    assert!(table.contains("averaged over the scenarios"), "{table}");
    // Two episodes make nothing clear: the rule plays as it is.
    assert!(table.contains("found, but not clearly better on other episodes: price("), "{table}");
    let tuned: toml::Table = bench.get("both.toml").parse().unwrap();
    assert_eq!(tuned["scenario"].as_str(), Some("tiny,serving-burst"));
    let before = tuned["policies"][0]["before"]["value"].as_float().unwrap();
    let after = tuned["policies"][0]["after"]["value"].as_float().unwrap();
    assert!((before - 1.0).abs() < 1e-9 && after == before, "{before} {after}");
    assert_eq!(tuned["policies"][0]["policy"], tuned["policies"][0]["tuned"]);
}

#[test]
fn a_trace_without_machines_takes_those_of_a_scenario() {
    let bench = Bench::new();
    let rows: String = (0..12).map(|at| format!("{at},{},{}\n", 60 * at, 100 + 37 * (at % 5))).collect();
    bench.put("jobs.csv", format!("job_id,arrival_s,duration_s\n{rows}"));
    let list = bench.json("bench --trace jobs.csv --cluster tiny --jobs 4 --policies fcfs,sjf --json -");
    assert_eq!((list[0]["episodes"].as_u64(), list[0]["scenario"].as_str()), (Some(3), Some("jobs.csv")));
    assert!(bench.fails("bench --trace jobs.csv --policies fcfs").contains("add --cluster"));
}

#[test]
fn tuned_parameters_are_chosen_alike_on_any_number_of_threads_and_played_with() {
    let bench = Bench::new();
    let run = |threads: &str, out: &str| {
        let arguments =
            "tune --scenario serving-burst --policies fcfs+timeout,mct+timeout --episodes 12 --out";
        let mut command = bench.command(&format!("{arguments} {out}/serving-burst.toml"));
        std::fs::create_dir(bench.path(out)).unwrap();
        assert!(command.env("RAYON_NUM_THREADS", threads).output().unwrap().status.success());
        bench.get(&format!("{out}/serving-burst.toml"))
    };
    let file = run("1", "one");
    assert_eq!(file, run("4", "four"));
    let tuned: toml::Table = file.parse().unwrap();
    let rule = tuned["policies"][0]["tuned"].as_str().unwrap().to_owned();
    assert!(rule.starts_with("fcfs+timeout(ms="), "{rule}");

    let compare = "bench --scenario serving-burst --policies fcfs+timeout,mct --episodes 3";
    let list = bench.json(&format!("{compare} --tuned one/serving-burst.toml --json -"));
    let row = &list[0]["policies"][0];
    assert_eq!((row["policy"].as_str(), row["tuned"].as_str()), (Some("fcfs+timeout"), Some(rule.as_str())));
    let table = bench.ok(&format!("{compare} --tuned one/serving-burst.toml"));
    assert!(table.contains(&format!("fcfs+timeout plays as {rule}")), "{table}");
    let named = "bench --scenario serving-burst --episodes 3 --tuned none --json - --policies";
    let named = bench.json(&format!("{named} {rule},mct"));
    assert_eq!(row["per_episode"], named[0]["policies"][0]["per_episode"]);

    let other = bench.fails("bench --scenario tiny --tuned one/serving-burst.toml");
    for said in ["one/serving-burst.toml was tuned on scenario serving-burst", "not on tiny", "--tuned none"]
    {
        assert!(other.contains(said), "{other}");
    }
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let bench = Bench::new();
    for (policy, said) in [
        ("fcfs", "has no parameter to tune"),
        ("timeuot", "did you mean timeout"),
        ("timeout(s=1)", "there is no parameter \"s\""),
    ] {
        let error = bench.fails(&format!("tune --scenario tiny --policies {policy} --out tiny.toml"));
        assert!(error.contains(said), "{error}");
    }
    bench.put("broken.toml", "scenario = 3");
    assert!(bench.fails("bench --scenario tiny --tuned broken.toml").contains("no file of tuned parameters"));
    assert!(bench.fails("bench --scenario tiny --tuned none.toml").contains("cannot read none.toml"));
    assert!(ours("agent/tuned/README.md").is_file());
}

#[test]
fn a_scenario_can_be_judged_by_another_objective() {
    let bench = Bench::new();
    let run = |objective: &str| {
        let run = format!(
            "bench --scenario tiny --policies fcfs,mct --episodes 2 --json - --objective {objective}"
        );
        bench.json(&run)[0].clone()
    };
    let mean = |told: &Value, at: usize| told["policies"][at]["mean"].as_f64().unwrap();
    let (time, energy, mix) = (run("completion-time"), run("energy"), run("completion-time+600*energy"));
    assert_eq!(
        [&time, &energy, &mix].map(|told| told["objective"].as_str().unwrap()),
        ["completion-time", "energy", "completion-time+600*energy"]
    );
    assert_eq!((time["unit"].as_str(), energy["unit"].as_str()), (Some("s"), Some("kWh")));
    for at in 0..2 {
        let kwh = time["policies"][at]["metrics"]["energy_kwh"].as_f64().unwrap();
        assert!(mean(&mix, at) > mean(&time, at), "energy costs something");
        assert!(
            kwh > 0.0 && (mean(&energy, at) * 12.0 - kwh).abs() < 1e-6 * kwh,
            "tiny has 12 jobs of weight 1"
        );
    }
    let error = bench.fails("bench --scenario tiny --objective speed");
    assert!(error.contains("there is no objective \"speed\""), "{error}");
}

#[test]
fn speed_is_measured_with_a_policy_that_is_there() {
    let bench = Bench::new();
    let error = bench.fails("bench --speed --checkpoint none.safetensors");
    assert!(error.contains("none.safetensors"), "{error}");
}
