//! `yardmaster allocate`: the worked examples, and random instances against SciPy's HiGHS.

use std::fmt::Write;
use std::process::Command;

use serde_json::Value;

use crate::support::{Bench, ours};

/// The answer to an example that comes with the repository.
fn example(file: &str) -> Value {
    let path = ours("docs/allocate").join(file);
    Bench::new().json(&format!("allocate {} --json -", path.display()))
}

fn units(answer: &Value) -> Vec<f64> {
    let tasks = answer["allocation"]["tasks"].as_array().unwrap();
    tasks.iter().map(|task| (task["units"].as_f64().unwrap() * 1e6).round() / 1e6).collect()
}

fn value(answer: &Value) -> f64 {
    answer["allocation"]["value"].as_f64().unwrap()
}

#[test]
fn with_ample_capacity_everybody_gets_what_they_want() {
    let answer = example("ample.toml");
    assert_eq!(units(&answer), [100.0, 200.0, 300.0]);
    assert_eq!(value(&answer), 0.0);
}

#[test]
fn a_maximum_goes_to_its_bounds() {
    let answer = example("bounds.toml");
    assert_eq!(units(&answer), [100.0, 200.0, 300.0]);
    assert_eq!(value(&answer), 600.0);
}

#[test]
fn a_minimum_without_a_demand_is_nothing_and_says_so() {
    let answer = example("no-demand.toml");
    assert_eq!(units(&answer), [0.0, 0.0, 0.0]);
    assert_eq!(value(&answer), 0.0);
    assert!(answer["allocation"]["notes"][0].as_str().unwrap().starts_with("a demand is missing"));
    let path = ours("docs/allocate/no-demand.toml");
    let output = Bench::new().run(&format!("allocate {}", path.display()));
    assert!(String::from_utf8(output.stderr).unwrap().contains("note: a demand is missing"));
}

#[test]
fn tasks_that_fit_into_two_resources_get_all() {
    let answer = example("two-resources.toml");
    assert_eq!(units(&answer), [10.0, 30.0, 20.0]);
    assert_eq!(value(&answer), 60.0);
    let used: Vec<f64> = answer["allocation"]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["used"].as_f64().unwrap())
        .collect();
    assert_eq!(used, [60.0, 30.0]);
}

#[test]
fn the_next_task_goes_to_the_third_node() {
    assert_eq!(example("node.toml")["placement"][0]["node"], "third");
}

#[test]
fn equal_paths_leave_the_first_and_a_transfer_depends_on_its_size() {
    assert_eq!(example("path.toml")["transfer"]["path"], "first");
    let bench = Bench::new();
    let text = std::fs::read_to_string(ours("docs/allocate/path.toml")).unwrap();
    for (bytes, path) in [("1000.0", "first"), ("3000.0", "second"), ("9000.0", "third")] {
        bench.put("path.toml", text.replace("# bytes = 3000.0", &format!("bytes = {bytes}")));
        assert_eq!(bench.json("allocate path.toml --json -")["transfer"]["path"], path, "{bytes} bytes");
    }
}

#[test]
fn the_table_shows_who_gets_what_in_which_way() {
    let path = ours("docs/allocate/cluster.toml");
    let table = Bench::new().ok(&format!("allocate {}", path.display()));
    assert!(table.starts_with("minimum completion time: "), "{table}");
    for cell in ["vision", "  gpu", "language", "  tpu", "memory_gb", "total"] {
        assert!(table.contains(cell), "{cell} is missing:\n{table}");
    }
}

#[test]
fn bad_input_is_named_and_leaves_no_output() {
    let bench = Bench::new();
    let task = "[[tasks]]\nname = \"a\"\ndemand = 3.0\nneeds = { gpu = 1.0 }\n";
    bench.put("a.toml", format!("objective = \"minimum-cost\"\n[capacities]\ngpu = 1.0\n{task}"));
    let message = bench.fails("allocate a.toml --json out.json");
    assert!(message.contains("the capacity of \"gpu\" is 1, 2 too little (they need 3)"), "{message}");
    bench.put("b.toml", "objective = \"minimum-cost\"\n[[task]]\nname = \"a\"\n");
    let message = bench.fails("allocate b.toml");
    assert!(
        message.contains("b.toml") && message.contains("line 2") && message.contains("unknown field `task`")
    );
    assert!(bench.fails("allocate c.toml").contains("cannot read c.toml"));
    assert_eq!(bench.list(), ["a.toml", "b.toml"]);
}

/// Numbers from a fixed seed (splitmix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// A number with two decimals.
    fn number(&mut self, low: f64, high: f64) -> f64 {
        let steps = ((high - low) * 100.0) as u64;
        low + self.below(steps + 1) as f64 / 100.0
    }
}

/// A random file: every objective in turn, one to eight tasks with up to three ways, four resources.
fn instance(seed: u64) -> String {
    const OBJECTIVES: [&str; 5] =
        ["minimum-cost", "minimum-completion-time", "minimum-shortfall", "maximum-total", "max-min-fairness"];
    let mut draws = Draws(seed);
    let objective = OBJECTIVES[(seed % 5) as usize];
    let timed = objective == "minimum-completion-time" || draws.below(3) == 0;
    let mut text = format!("objective = \"{objective}\"\n");
    if timed && objective != "minimum-completion-time" {
        let _ = writeln!(text, "within_s = {:?}", draws.number(5.0, 60.0));
    }
    let resources = ["cpu", "gpu", "memory", "tpu"];
    let _ = writeln!(text, "[capacities]");
    for resource in resources {
        let _ = writeln!(text, "{resource} = {:?}", draws.number(1.0, 25.0));
    }
    for task in 0..1 + draws.below(8) {
        let demand = draws.number(0.0, 6.0);
        let _ = writeln!(
            text,
            "[[tasks]]\nname = \"{task}\"\nweight = {:?}\ndemand = {demand:?}",
            draws.number(0.5, 4.0)
        );
        if draws.below(2) == 0 {
            let _ = writeln!(text, "most = {:?}", demand + draws.number(0.0, 9.0));
        }
        if timed && draws.below(3) == 0 {
            let _ = writeln!(text, "at_once = {:?}", draws.number(0.5, 3.0));
        }
        for way in 0..1 + draws.below(3) {
            let _ = writeln!(text, "[[tasks.ways]]\nname = \"{way}\"\ncost = {:?}", draws.number(0.0, 5.0));
            if timed {
                let _ = writeln!(text, "time_s = {:?}", draws.number(0.5, 20.0));
            }
            let first = resources[draws.below(4) as usize];
            let _ = writeln!(text, "needs = {{ {first} = {:?} }}", draws.number(0.1, 3.0));
        }
    }
    text
}

#[test]
fn objective_values_are_those_of_highs() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let can = Command::new(&python).args(["-c", "import scipy.optimize, tomllib"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no SciPy; set PYTHON to one that has");
        return;
    }
    let bench = Bench::new();
    let files: Vec<String> = (0..200).map(|seed| format!("{seed}.toml")).collect();
    (0..).zip(&files).for_each(|(seed, file)| bench.put(file, instance(seed)));
    let mut script = Command::new(&python);
    script.arg(ours("tests/golden/allocate.py")).args(files.iter().map(|file| bench.path(file)));
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = String::from_utf8(output.stdout).unwrap();
    let (mut solved, mut infeasible) = (0, 0);
    for (file, expected) in files.iter().zip(expected.lines()) {
        if expected == "infeasible" {
            infeasible += 1;
            let message = bench.fails(&format!("allocate {file}"));
            assert!(message.contains("the demands do not fit"), "{file}: {message}\n{}", bench.get(file));
        } else {
            solved += 1;
            let (ours, theirs) =
                (value(&bench.json(&format!("allocate {file} --json -"))), expected.parse::<f64>().unwrap());
            let near = (ours - theirs).abs() <= 1e-6 * theirs.abs().max(1.0);
            assert!(near, "{file}: {ours} instead of {theirs}\n{}", bench.get(file));
        }
    }
    println!("{solved} objective values equal, {infeasible} instances infeasible for both");
    assert!(solved >= 100 && infeasible >= 10, "{solved} solved, {infeasible} infeasible");
}
