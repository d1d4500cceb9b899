//! `explain` as a user drives it: one decision, and where a policy differs from a rule.

use serde_json::Value;

use crate::support::{Bench, frozen, keys};

const POLICY: &str = "--checkpoint net.safetensors --scenario pool12";

/// A folder with a policy.
fn prepared() -> Bench {
    let bench = Bench::new();
    bench.put("net.safetensors", frozen("pool12", -1.0));
    bench
}

fn decision(bench: &Bench, more: &str) -> Value {
    bench.json(&format!("explain {POLICY} --decision 20 --json - {more}"))
}

#[test]
fn a_decision_is_explained_by_numbers_that_add_up() {
    let bench = prepared();
    let told = decision(&bench, "--episode 2");
    assert_eq!(
        keys(&told),
        [
            "decision",
            "episode",
            "now_s",
            "objective",
            "options",
            "others",
            "policy",
            "rule",
            "rule_is",
            "scenario",
            "seed",
            "share_error",
            "state",
            "trained_in",
            "unit",
            "why"
        ]
    );
    let options = told["options"].as_array().unwrap();
    let probability = |option: &Value| option["probability"].as_f64().unwrap();
    let sum: f64 = options.iter().map(probability).sum();
    assert!(
        (sum - 1.0).abs() < 1e-9 && options.is_sorted_by(|one, other| probability(one) >= probability(other))
    );
    for option in options {
        let shares: f64 =
            option["features"].as_array().unwrap().iter().map(|share| share["share"].as_f64().unwrap()).sum();
        let ln = option["baseline"].as_f64().unwrap() + shares;
        assert!((ln - probability(option).ln()).abs() < 1e-6, "{option}");
    }
    let roles: Vec<_> =
        told["others"].as_array().unwrap().iter().map(|other| other["role"].clone()).collect();
    assert_eq!(roles, ["prior", "rule"]);
    assert_eq!(told, decision(&bench, "--episode 2"), "the same again");
    assert_ne!(told["state"], decision(&bench, "--episode 3")["state"], "another episode");
    assert_ne!(told["state"], decision(&bench, "--episode 2 --seed 7")["state"], "another seed");
}

/// The decision that is explained is the one that the policy makes in `simulate`.
#[test]
fn the_first_decision_is_that_of_a_simulation() {
    let bench = prepared();
    let run = format!("{POLICY} --seed 5");
    bench.ok(&format!("simulate {run} --starts starts.csv"));
    let told = bench.json(&format!("explain {run} --decision 0 --json -"));
    let act = &told["options"][0];
    assert_eq!(act["act"]["act"], "start");
    let (job, now) = (act["act"]["work"]["job"].to_string(), told["now_s"].as_f64().unwrap());
    let starts = bench.get("starts.csv");
    let mut rows = starts.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let row = rows.find(|row| row[0] == job).unwrap();
    assert!((row[2].parse::<f64>().unwrap() - now).abs() < 1e-6, "{row:?}");
}

#[test]
fn the_text_has_the_cluster_the_candidates_the_rules_and_the_reasons() {
    let bench = prepared();
    let run = format!("explain {POLICY} --decision 20 --rule fcfs --top 3");
    let text = bench.ok(&run);
    for part in [
        "net in pool12, test seed 1, episode 0, decision 20 at ",
        "next release in",
        "chosen by",
        "- The prior mct would: ",
        "- The rule fcfs (as asked for) would: ",
        "rather than",
        "against it: ",
        "Shapley",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    bench.ok(&format!("{run} --markdown told.md"));
    assert!(bench.get("told.md").contains("| probability |"));
}

#[test]
fn all_differences_measured_add_up_to_the_whole() {
    let bench = prepared();
    let run = format!("explain {POLICY} --rule eft --episodes 2 --samples 100000 --json told.json");
    let text = bench.ok(&run);
    assert!(
        text.contains("net against eft (as asked for) in pool12: completion-time [s], 2 test episodes"),
        "{text}"
    );
    let told: Value = serde_json::from_str(&bench.get("told.json")).unwrap();
    let told = &told["differences"];
    let kinds = told["kinds"].as_array().unwrap();
    let sum: f64 = kinds.iter().map(|kind| kind["contribution"]["value"].as_f64().unwrap()).sum();
    let whole = 1.0 - told["ratio"]["value"].as_f64().unwrap();
    assert!((sum - whole).abs() < 1e-9, "{sum} {whole}");
    let count: u64 = kinds.iter().map(|kind| kind["count"].as_u64().unwrap()).sum();
    assert!(count > 0 && told["differing"] == count);
    assert!(kinds.len() > 1, "{text}");
}

#[test]
fn the_tail_is_the_rule_unless_it_is_to_be_the_policy() {
    let bench = prepared();
    let run = |tail: &str| {
        let arguments = format!("--episodes 2 --samples 5 --rule sjf --tail {tail} --json -");
        let told = bench.json(&format!("explain {POLICY} {arguments}"));
        told["differences"].clone()
    };
    let (rule, policy) = (run("rule"), run("policy"));
    assert_eq!((&rule["tail"], &policy["tail"]), (&"rule".into(), &"policy".into()));
    assert_eq!((&rule["tail_remembers"], &policy["tail_remembers"]), (&true.into(), &true.into()));
    assert_eq!(rule["differing"], policy["differing"]);
    assert_ne!(rule["kinds"], policy["kinds"]);
}

#[test]
fn what_cannot_be_explained_is_refused_by_name() {
    let bench = prepared();
    let fails = |arguments: &str| bench.fails(&format!("explain {arguments}"));
    let of = |rest: &str| fails(&format!("{POLICY} {rest}"));
    let error = of("--decision 99999");
    assert!(
        error.contains("--decision 99999: net makes ") && error.contains("give a number from 0 to "),
        "{error}"
    );
    assert!(of("--rule sfj").contains("did you mean sjf"));
    assert!(of("--episodes 1").contains("--episodes"));
    assert!(of("--episode 3").contains("--decision"));
    assert!(of("--decision 3 --episodes 7").contains("cannot be used with"));
    assert!(of("--json nowhere/told.json").contains("there is no folder nowhere"));
    let error = fails("--checkpoint absent.safetensors --scenario pool12");
    assert!(error.contains("cannot read absent.safetensors"), "{error}");
    bench.put("junk.safetensors", b"junk");
    assert!(
        fails("--checkpoint junk.safetensors --scenario pool12").contains("is not a usable frozen policy")
    );
    let error = fails("--checkpoint net.safetensors --scenario pol12");
    assert!(error.contains("pol12") && error.contains("pool12"), "{error}");
    bench.put("sloth.safetensors", frozen("pool12", 1000.0));
    let error = fails("--checkpoint sloth.safetensors --scenario serving-burst --episodes 2");
    assert!(error.contains("policy sloth does not come to an end"), "{error}");
}
