//! Every subcommand and option, as a user or a script sees them.

use serde_json::Value;

use crate::support::{Bench, keys, ours, small_swf};

/// What scripts rely on in the JSON of `simulate`.
const MEASURES: [&str; 14] = [
    "policy",
    "jobs",
    "mean_jct_s",
    "p50_jct_s",
    "p99_jct_s",
    "mean_wait_s",
    "mean_bounded_slowdown",
    "max_bounded_slowdown",
    "utilization",
    "utilization_to_last_start",
    "makespan_s",
    "slo_attainment",
    "decisions",
    "decisions_per_s",
];

#[test]
fn scenarios_and_policies_are_listed_with_one_line_each() {
    let bench = Bench::new();
    let scenarios = bench.ok("scenarios");
    let policies = bench.ok("policies");
    for name in ["tiny", "pool12", "serving-burst", "hpc-256"] {
        assert_eq!(
            scenarios.lines().filter(|line| line.split(' ').next() == Some(name)).count(),
            1,
            "{name}"
        );
    }
    for name in ["random", "fcfs", "sjf", "eft", "mct", "one", "largest", "timeout", "unicep-published"] {
        assert_eq!(policies.lines().filter(|line| line.split(' ').next() == Some(name)).count(), 1, "{name}");
    }
}

#[test]
fn every_listed_scenario_can_be_simulated_and_inspected() {
    let bench = Bench::new();
    for line in bench.ok("scenarios").lines() {
        let name = line.split(' ').next().unwrap();
        let measures = bench.json(&format!("simulate --scenario {name} --policy sjf --json -"));
        assert!(measures["jobs"].as_u64().unwrap() > 0 && measures["refused"] == 0, "{name}: {measures}");
        assert!(bench.ok(&format!("inspect {name}")).starts_with(&format!("{name}: ")));
    }
    let half = bench.ok("inspect pool12@0.5");
    assert!(half.starts_with("pool12@0.5: ") && half.contains("6 nodes, 6 devices"), "{half}");
}

#[test]
fn json_of_simulate_has_the_promised_keys_and_is_alone_on_standard_output() {
    let bench = Bench::new();
    let arguments = "simulate --scenario tiny --policy mct --seed 3 --json -";
    let measures = bench.json(arguments);
    for key in MEASURES {
        let value = &measures[key];
        assert!(value.is_number() || key == "policy" && value == "mct", "{key} is {value}");
    }
    let jobs = measures["jobs"].as_u64().unwrap();
    assert_eq!((jobs, &measures["slo_attainment"]), (12, &Value::from(1.0)));
}

/// What machines cost, how evenly work was served and what was wasted: keys of the JSON of `simulate`.
const COSTS: [&str; 22] = [
    "p95_jct_s",
    "deadlines_met",
    "goodput_per_s",
    "goodput_samples_per_s",
    "episode_s",
    "energy_kwh",
    "dollars",
    "device_utilization",
    "idle_while_waiting_device_h",
    "idle_while_waiting_share",
    "fragmentation",
    "scattered_share",
    "users",
    "jain_users_slowdown",
    "jain_jobs_slowdown",
    "mean_rho",
    "p95_rho",
    "max_rho",
    "restart_waste_device_h",
    "waste_share",
    "preemptions",
    "cut_off",
];

#[test]
fn json_of_simulate_has_the_costs_with_their_units() {
    let measures = Bench::new().json("simulate --scenario tiny --policy mct --seed 3 --json -");
    for key in COSTS {
        assert!(measures[key].is_number(), "{key} is {}", measures[key]);
    }
    let kinds = measures["kinds"].as_array().unwrap();
    let names: Vec<&str> = kinds.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(names, ["k80", "p100", "v100"]);
    let hours = |key: &str| kinds.iter().map(|kind| kind[key].as_f64().unwrap()).sum::<f64>();
    let utilization = hours("busy_device_h") / hours("service_device_h");
    assert!((utilization - measures["device_utilization"].as_f64().unwrap()).abs() < 1e-12);
    let service_h = 3.0 * measures["episode_s"].as_f64().unwrap() / 3600.0;
    assert!((hours("service_device_h") / service_h - 1.0).abs() < 1e-12);
}

/// The lines of a report that stand at its left margin, the title apart.
fn headings(report: &str) -> Vec<&str> {
    report.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with(' ')).collect()
}

#[test]
fn the_report_of_simulate_has_the_sections_that_say_something() {
    let bench = Bench::new();
    let training = bench.ok("simulate --scenario tiny --policy mct");
    assert_eq!(headings(&training), ["completion", "machines", "cost", "fairness"]);
    for said in ["mct on tiny (seed 0)", "kWh", "USD", "v100", "samples/s", "finish-time rho"] {
        assert!(training.contains(said), "{said} is missing in\n{training}");
    }
    let serving = bench.ok("simulate --scenario serving-burst --policy mct");
    assert_eq!(headings(&serving), ["completion", "service levels", "machines", "cost", "fairness"]);
    for said in ["deadlines met", "goodput", "mean batch"] {
        assert!(serving.contains(said), "{said} is missing in\n{serving}");
    }
}

#[test]
fn a_scenario_can_be_judged_by_energy_and_money() {
    let bench = Bench::new();
    let tiny = std::fs::read_to_string(ours("env/scenarios/tiny.toml")).unwrap();
    let near =
        |value: f64, expected: f64| assert!((value / expected - 1.0).abs() < 1e-9, "{value} {expected}");
    let run = |scenario: &str| {
        bench.put("own.toml", scenario);
        let measures = bench.json("simulate --scenario own.toml --policy mct --json -");
        ["objective", "energy_kwh", "dollars", "mean_jct_s"].map(|key| measures[key].as_f64().unwrap())
    };
    let [energy, kwh, ..] = run(&tiny.replace("completion-time", "energy"));
    near(energy, kwh / 12.0);
    let [cost, _, dollars, _] = run(&tiny.replace("completion-time", "cost"));
    near(cost, dollars / 12.0);
    let [mixed, _, _, jct] = run(&format!("{tiny}\n[prices]\nkwh = 100\ndollar = 7\n"));
    near(mixed, jct + (100.0 * kwh + 7.0 * dollars) / 12.0);
    // A part of a scenario is judged by the same prices.
    let part = bench.json("simulate --scenario own.toml --policy mct --first 0 --jobs 12 --json -");
    near(part["objective"].as_f64().unwrap(), mixed);
}

#[test]
fn bench_shows_further_columns() {
    let bench = Bench::new();
    let arguments = "bench --scenario tiny --policies fcfs,mct --episodes 2";
    let table = bench.ok(&format!("{arguments} --columns energy_kwh,jain_users_slowdown"));
    assert!(table.contains("energy_kwh") && table.contains("jain_users_slowdown"), "{table}");
    assert!(!bench.ok(arguments).contains("energy_kwh"));
    let error = bench.fails(&format!("{arguments} --columns energy"));
    assert!(error.contains("unknown column \"energy\"") && error.contains("energy_kwh"), "{error}");
    let rows = bench.json(&format!("{arguments} --json -"));
    for key in
        ["energy_kwh", "dollars", "slo_attainment", "jain_users_slowdown", "p99_jct_s", "fragmentation"]
    {
        assert!(rows[0]["policies"][0]["metrics"][key].is_number(), "{key}");
    }
}

#[test]
fn starts_are_a_table_with_microseconds() {
    let bench = Bench::new();
    bench.ok("simulate --scenario tiny --policy mct --starts starts.csv");
    let text = bench.get("starts.csv");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("job_id,arrival_s,start_s,finish_s,nodes,batch"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let times: Vec<f64> = row[1..4].iter().map(|time| seconds(time)).collect();
        assert!(times.is_sorted(), "{row:?}");
        assert!(["v100", "p100", "k80"].contains(&row[4]), "{row:?}");
        assert!(row[5].parse::<u32>().unwrap() > 0);
    }
}

/// A time with exactly six decimals.
fn seconds(text: &str) -> f64 {
    let (_, digits) = text.split_once('.').unwrap_or_else(|| panic!("{text} has no decimals"));
    assert_eq!(digits.len(), 6, "{text}");
    text.parse().unwrap()
}

#[test]
fn a_requests_batch_and_a_gangs_nodes_are_in_the_table() {
    let bench = Bench::new();
    bench.ok("simulate --scenario serving-burst --policy mct --starts serving.csv");
    let serving = bench.get("serving.csv");
    assert!(serving.lines().skip(1).any(|row| row.rsplit(',').next().unwrap() != "1"), "no batch");
    bench.ok("simulate --scenario gang --policy mct --starts gang.csv");
    let gang = bench.get("gang.csv");
    for row in gang.lines() {
        assert_eq!(row.split(',').count(), 6, "{row}");
    }
}

#[test]
fn a_schedule_is_drawn_as_text_and_as_svg() {
    let bench = Bench::new();
    let text = bench.ok("simulate --scenario tiny --policy mct --gantt -");
    for node in ["v100", "p100", "k80"] {
        assert!(text.lines().any(|line| line.starts_with(node)), "{text}");
    }
    bench.ok("simulate --scenario tiny --policy mct --gantt schedule.svg");
    let svg = bench.get("schedule.svg");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
}

#[test]
fn a_trace_is_cut_to_the_jobs_asked_for() {
    let bench = Bench::new();
    let trace = small_swf();
    let whole = bench.json(&format!("simulate --trace {trace} --policy sjf --queue commit --json -"));
    let part = bench
        .json(&format!("simulate --trace {trace} --policy sjf --queue commit --first 30 --jobs 7 --json -"));
    let rest =
        bench.json(&format!("simulate --trace {trace} --policy sjf --queue commit --first 30 --json -"));
    assert_eq!([&whole, &part, &rest].map(|run| run["jobs"].as_u64().unwrap()), [39, 7, 9]);
}

#[test]
fn each_discipline_gives_a_schedule_of_its_own() {
    let bench = Bench::new();
    let mut seen = std::collections::BTreeSet::new();
    for queue in ["free", "commit", "commit-backfill"] {
        let command = format!("simulate --trace {} --policy sjf --queue {queue} --starts -", small_swf());
        seen.insert(bench.ok(&command));
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn tables_are_read_as_csv_and_as_json_lines() {
    let bench = Bench::new();
    bench.put(
        "jobs.csv",
        "job_id,arrival_s,model,batch,samples,devices\n1,0,ResNet-18,128,100000,1\n2,1.5,LM,20,5000,1\n",
    );
    bench.put(
        "jobs.jsonl",
        "{\"job_id\":1,\"arrival_s\":0,\"model\":\"ResNet-18\",\"batch\":128,\"samples\":100000,\"devices\":1}\n\
         {\"job_id\":2,\"arrival_s\":1.5,\"model\":\"LM\",\"batch\":20,\"samples\":5000}\n",
    );
    let csv = bench.ok("simulate --trace jobs.csv --cluster tiny --policy mct --starts -");
    let jsonl = bench.ok("simulate --trace jobs.jsonl --cluster tiny --policy mct --starts -");
    assert_eq!(csv, jsonl);
    assert_eq!(csv.lines().count(), 3);
    assert!(bench.ok("inspect jobs.csv").contains("2 jobs"));
    let error = bench.fails("simulate --trace jobs.csv --policy mct");
    assert!(error.contains("--cluster"), "{error}");
}

#[test]
fn a_scenario_file_is_as_good_as_a_built_in_name() {
    let bench = Bench::new();
    let file = ours("env/scenarios/tiny.toml").display().to_string();
    let own = bench.ok(&format!("simulate --scenario {file} --policy eft --seed 5 --starts -"));
    assert_eq!(own, bench.ok("simulate --scenario tiny --policy eft --seed 5 --starts -"));
}

#[test]
fn the_same_seed_gives_the_same_schedule_and_another_seed_another() {
    let bench = Bench::new();
    let run = |scenario: &str, seed: u64| {
        bench.ok(&format!("simulate --scenario {scenario} --policy random --seed {seed} --starts -"))
    };
    for scenario in ["tiny", "serving-burst", "hpc-256"] {
        assert_eq!(run(scenario, 7), run(scenario, 7));
        assert_ne!(run(scenario, 7), run(scenario, 8));
    }
}

#[test]
fn json_of_bench_has_the_promised_shape() {
    let bench = Bench::new();
    let list =
        bench.json("bench --scenario tiny,gang --policies fcfs,sjf,mct --episodes 4 --seed 9 --json -");
    let comparisons = list.as_array().unwrap();
    assert_eq!(comparisons.len(), 2);
    let tiny = &comparisons[0];
    assert_eq!(
        (tiny["scenario"].as_str(), tiny["objective"].as_str(), tiny["unit"].as_str()),
        (Some("tiny"), Some("completion-time"), Some("s"))
    );
    assert_eq!((tiny["episodes"].as_u64(), tiny["seed"].as_u64()), (Some(4), Some(9)));
    let rows = tiny["policies"].as_array().unwrap();
    assert_eq!(
        rows.iter().map(|row| row["policy"].as_str().unwrap()).collect::<Vec<_>>(),
        ["fcfs", "sjf", "mct"]
    );
    for row in rows {
        check_row(row);
    }
    assert_eq!(keys(&rows[0]["ratio_to"]), ["mct", "sjf"]);
}

fn check_row(row: &Value) {
    for key in ["mean", "p50", "p90", "p99", "worst", "longest_wait_s"] {
        assert!(row[key].as_f64().unwrap() > 0.0, "{key}");
    }
    let per_episode: Vec<f64> =
        row["per_episode"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert_eq!(per_episode.len(), 4);
    let mean = per_episode.iter().sum::<f64>() / 4.0;
    assert!((mean / row["mean"].as_f64().unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(row["ci95"].as_array().unwrap().len(), 2);
    for (rule, ratio) in row["ratio_to"].as_object().unwrap() {
        let expected = ["ci95", "ci95_bootstrap", "p_holm", "ratio", "significant", "wins"];
        assert_eq!(keys(ratio), expected, "{rule}");
        let [low, high] = [0, 1].map(|at| ratio["ci95"][at].as_f64().unwrap());
        assert!((low..=high).contains(&ratio["ratio"].as_f64().unwrap()));
        assert!(ratio["wins"].as_u64().unwrap() <= 4);
    }
}

#[test]
fn bench_gives_the_same_bytes_on_any_number_of_threads() {
    let bench = Bench::new();
    let run = |threads: &str| {
        let arguments = "bench --scenario tiny,serving-burst --policies all --episodes 6 --json -";
        let output = bench.command(arguments).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    assert_eq!(run("1"), run("4"));
}

#[test]
fn bench_writes_its_tables_as_markdown() {
    let bench = Bench::new();
    bench.ok("bench --scenario tiny --policies fcfs,mct --episodes 3 --markdown table.md --json bench.json");
    let table = bench.get("table.md");
    assert!(
        table.contains("| mct ") && table.contains("| fcfs ") && table.contains("3 test episodes"),
        "{table}"
    );
    assert_eq!(bench.list(), ["bench.json", "table.md"]);
}

#[test]
fn bench_takes_every_rule_unless_told_otherwise() {
    let bench = Bench::new();
    let table = bench.ok("bench --scenario tiny --episodes 2");
    for rule in ["random", "fcfs", "sjf", "wrr", "eft", "mct"] {
        assert!(table.contains(&format!("│ {rule} ")), "{rule} is missing in\n{table}");
    }
}

#[test]
fn inspect_tells_what_a_trace_holds_and_what_was_dropped() {
    let text = Bench::new().ok(&format!("inspect {}", small_swf()));
    assert!(text.contains("40 rows, 39 jobs") && text.contains("dropped 1: run time 0"), "{text}");
}

#[test]
fn help_and_version_are_there_for_every_subcommand() {
    let bench = Bench::new();
    assert!(bench.ok("--version").starts_with("yardmaster "));
    for subcommand in ["", "scenarios", "policies", "simulate", "bench", "tune", "inspect"] {
        assert!(bench.ok(&format!("{subcommand} --help")).contains("Usage: yardmaster"), "{subcommand}");
    }
}
