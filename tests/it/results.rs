//! `results` as a user drives it: the table of frozen policies, and the rows behind it.

use std::io::Read;

use serde_json::Value;

use crate::support::{Bench, frozen};

const README: &str = "# Policies\n\n<!-- table: by a command -->\nold\n<!-- end of table -->\n\nBelow.\n";

/// A folder with a README and two copies of a policy, as of two training seeds.
fn prepared() -> Bench {
    let bench = Bench::new();
    bench.put("README.md", README);
    let policy = frozen("pool12", -1.0);
    bench.put("net.safetensors", &policy);
    bench.put("net-2.safetensors", &policy);
    bench
}

const RUN: &str = "results net.safetensors --out README.md --episodes 6 --validation 4";

fn packed(bench: &Bench, file: &str) -> Value {
    let bytes = std::fs::read(bench.path(file)).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The cells of the first row of the table below a header that begins so.
fn cells(text: &str, header: &str) -> Vec<String> {
    let row = text.lines().skip_while(|line| !line.starts_with(header)).nth(2).unwrap();
    row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn the_table_holds_what_the_rows_hold() {
    let bench = prepared();
    bench.ok(&format!("{RUN} --rows rows"));
    let text = bench.get("README.md");
    assert!(
        text.starts_with("# Policies\n") && text.ends_with("\nBelow.\n") && !text.contains("old\n"),
        "{text}"
    );
    assert!(
        text.contains("6 test episodes a scenario (seed 1)") && text.contains("on 4 validation episodes")
    );
    let cells = cells(&text, "| policy ");
    assert_eq!(cells[..3], ["`net`", "pool12", "completion-time [s]"]);

    let [test, validation] =
        ["test", "validation"].map(|rows| packed(&bench, &format!("rows/{rows}.json.gz")));
    let rows = test[0]["policies"].as_array().unwrap();
    let own = rows.iter().find(|row| row["policy"] == "net").unwrap();
    let all = validation[0]["policies"].as_array().unwrap();
    let mean = |row: &&Value| row["mean"].as_f64().unwrap();
    let best = all.iter().min_by(|one, other| mean(one).total_cmp(&mean(other))).unwrap();
    assert!(all.len() > 8 && validation[0]["episodes"] == 4, "all rules are tried");
    let ratio = &own["ratio_to"][best["policy"].as_str().unwrap()];
    assert!(cells[7].starts_with(&format!("**{:.3} [", ratio["ratio"].as_f64().unwrap())), "{cells:?}");
    assert_eq!(cells[8], format!("{} of 6", ratio["wins"]));
    assert_eq!(rows.len(), 5, "the policy, three classical rules and the best");
    assert!(
        ["better", "not worse", "undecided", "WORSE"].iter().any(|word| cells[13].starts_with(word)),
        "{cells:?}"
    );
    assert_eq!(bench.get("rows/table.md").trim(), between(&text));

    assert!(text.contains("| 1.5 min ") && text.contains("`yardmaster-train --scenario pool12`"), "{text}");

    // The command that the table names gives the same rows.
    let command = text.split("`yardmaster ").nth(1).unwrap().split('`').next().unwrap().replace('\'', "");
    let again = bench.json(&format!("{command} --json -"));
    let found = again[0]["policies"].as_array().unwrap().iter().find(|row| row["policy"] == "net").unwrap();
    assert_eq!(found["per_episode"], own["per_episode"]);
}

fn between(text: &str) -> &str {
    let begin = text.find("-->").unwrap() + 3;
    text[begin..text.find("<!-- end").unwrap()].trim()
}

#[test]
fn the_same_command_writes_the_same_bytes_and_leaves_nothing_else() {
    let bench = prepared();
    bench.ok(RUN);
    let first = bench.get("README.md");
    bench.ok(RUN);
    assert_eq!(bench.get("README.md"), first);
    assert_eq!(bench.list(), ["README.md", "net-2.safetensors", "net.safetensors"]);
}

#[test]
fn several_training_seeds_stand_together_and_look_ahead_beside_them() {
    let bench = prepared();
    bench.ok("bench --scenario pool12 --policies search(candidates=2,futures=2,horizon=2),mct --episodes 3 --json s.json");
    bench.ok(&format!("{RUN} net-2.safetensors --search s.json"));
    let text = bench.get("README.md");
    assert!(text.contains("- pool12: 2 policies, ratio to the best rule "), "{text}");
    assert_eq!(text.matches("| `net").count(), 2, "{text}");
    let cells = cells(&text, "| policy ");
    assert!(
        cells[12].ends_with("(3)"),
        "compared on the three episodes that look-ahead has played: {cells:?}"
    );
}

#[test]
fn the_ratios_are_drawn_as_the_table_tells_them() {
    let bench = prepared();
    bench.ok(&format!("{RUN} net-2.safetensors --svg ratios.svg"));
    let (picture, table) = (bench.get("ratios.svg"), bench.get("README.md"));
    let ratio = cells(&table, "| policy ")[7].replace("**", "");
    assert_eq!(
        picture.matches(&format!(">{ratio}<")).count(),
        2,
        "a row for each policy: {ratio} in {picture}"
    );
    assert!(picture.contains(">pool12<") && !picture.contains("one policy for many scenarios"));
}

#[test]
fn the_summary_has_a_row_a_scenario_and_a_column_for_policies_of_several() {
    let bench = prepared();
    bench.put("TOP.md", README);
    bench.put("every.safetensors", frozen("pool12,tiny,pool12@0.5,pool12@2,nowhere", -1.0));
    let run = RUN.replace("net.safetensors", "every.safetensors net.safetensors") + " --summary TOP.md";
    let output = bench.run(&run);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert!(
        errors.contains("every.safetensors is not judged in nowhere, which it was trained in too"),
        "{errors}"
    );
    let (top, table) = (bench.get("TOP.md"), bench.get("README.md"));
    assert!(top.starts_with("# Policies\n") && top.ends_with("\nBelow.\n"), "{top}");
    assert!(top.contains("| every / best rule "), "{top}");
    let (short, long) = (cells(&top, "| policy "), cells(&table, "| policy "));
    assert_eq!([&short[0], &long[0]], ["`net`"; 2], "before the one for several, whose file is named first");
    assert_eq!(
        top.lines().filter(|line| line.starts_with("| `")).count(),
        1,
        "tiny has no policy of its own"
    );
    let ratio = long[7].replace("**", "");
    assert_eq!(
        [&short[4], &short[10]].map(|cell| cell.replace("**", "")),
        [ratio.clone(), ratio],
        "one file"
    );
    assert!(table.contains(" tiny ") && !table.contains("pool12@"), "judged on their own nodes: {table}");
    assert!(bench.fails(&format!("{RUN} --summary none.md")).contains("--summary: cannot read none.md"));
}

#[test]
fn a_policy_that_fails_has_a_row_that_says_so() {
    let bench = prepared();
    bench.put("sloth.safetensors", frozen("nowhere", 1000.0));
    let run = "results sloth.safetensors --out README.md --episodes 2 --validation 2";
    let error = bench.fails(run);
    assert!(error.contains("sloth.safetensors was trained in \"nowhere\": say with --scenarios"), "{error}");
    let output = bench.run(&format!("{run} --scenarios serving-burst"));
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("error: 1 failed, the table is complete otherwise: sloth: policy sloth does not")
    );
    assert!(bench.get("README.md").contains("FAILED: policy sloth does not come to an end"));
}

#[test]
fn what_cannot_be_judged_is_refused_by_name() {
    let bench = prepared();
    bench.put("bare.md", "# nothing\n");
    let fails = |arguments: &str| bench.fails(&format!("results {arguments}"));
    let error = fails("net.safetensors --out bare.md");
    assert!(error.contains("bare.md: the page has no line `<!-- table -->`"), "{error}");
    assert!(fails("net.safetensors --out absent.md").contains("cannot read absent.md"));
    assert!(fails("absent.safetensors --out README.md").contains("cannot read absent.safetensors"));
    bench.put("rows.json", "{}");
    let error = fails("net.safetensors --out README.md --search rows.json");
    assert!(error.contains("rows.json: these are not rows of `bench --json`"), "{error}");
    assert!(fails("net.safetensors --out README.md --scenarios pol12").contains("pol12"));
    assert!(fails("--out README.md").contains("FILE.safetensors"));
    assert!(fails("net.safetensors ./net.safetensors --out README.md").contains("takes part twice"));
    assert_eq!(bench.get("README.md"), README);
}
