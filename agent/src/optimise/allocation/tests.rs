use super::*;

fn answer(text: &str) -> Allocation {
    solve(text, "a.toml").unwrap_or_else(|error| panic!("{error}")).allocation.unwrap()
}

fn error(text: &str) -> String {
    solve(text, "a.toml").unwrap_err().to_string()
}

#[track_caller]
fn check(text: &str, value: f64, units: &[f64]) {
    let allocation = answer(text);
    let got: Vec<f64> = allocation.tasks.iter().map(|row| row.units).collect();
    let near = |one: f64, other: f64| (one - other).abs() < 1e-6 * other.abs().max(1.0);
    assert!(near(allocation.value, value), "{allocation:#?}");
    assert!(
        got.len() == units.len() && got.iter().zip(units).all(|(one, other)| near(*one, *other)),
        "{got:?}"
    );
}

/// One GPU-hour for each job on one of two GPUs; the CPU takes three hours of all four cores.
const JOBS: &str = r#"
objective = "minimum-completion-time"
capacities = { cpu = 4.0, gpu = 2.0 }
[[tasks]]
name = "job"
demand = 7.0
ways = [
    { name = "gpu", needs = { gpu = 1.0 }, time_s = 3600.0, cost = 3.0 },
    { name = "cpu", needs = { cpu = 4.0 }, time_s = 10800.0, cost = 1.0 },
]
"#;

/// Both kinds end together: 2 + 1/3 jobs an hour, 7 in three hours.
#[test]
fn work_is_spread_so_that_all_kinds_end_together() {
    check(JOBS, 10800.0, &[7.0]);
    let rows = &answer(JOBS).tasks[0].ways;
    assert!((rows[0].units - 6.0).abs() < 1e-6 && (rows[1].units - 1.0).abs() < 1e-6, "{rows:?}");
}

#[test]
fn a_job_that_cannot_be_split_over_devices_takes_its_time() {
    check(&JOBS.replace("demand = 7.0", "demand = 7.0\nat_once = 1.0"), 7.0 * 3600.0, &[7.0]);
}

#[test]
fn within_a_time_the_cheapest_way_is_used_as_far_as_it_goes() {
    let cheap = JOBS.replace("minimum-completion-time\"", "minimum-cost\"\nwithin_s = 21600.0");
    // Two jobs on the CPU at 1, five on a GPU at 3.
    check(&cheap, 17.0, &[7.0]);
}

#[test]
fn of_equally_fast_allocations_the_cheapest_is_taken() {
    let text = r#"
        objective = "maximum-total"
        capacities = { gpu = 2.0 }
        [[tasks]]
        name = "job"
        ways = [
            { name = "dear", needs = { gpu = 1.0 }, cost = 3.0 },
            { name = "cheap", needs = { gpu = 1.0 }, cost = 1.0 },
        ]
    "#;
    check(text, 2.0, &[2.0]);
    assert!((answer(text).cost - 2.0).abs() < 1e-6);
}

#[test]
fn scarcity_hits_the_lightest_first() {
    let text = r#"
        objective = "minimum-shortfall"
        capacities = { s = 400.0 }
        tasks = [
            { name = "a", weight = 1.0, demand = 100.0, needs = { s = 1.0 } },
            { name = "b", weight = 2.0, demand = 200.0, needs = { s = 1.0 } },
            { name = "c", weight = 3.0, demand = 300.0, needs = { s = 1.0 } },
        ]
    "#;
    // 100 seconds for `b` after 300 for `c`: 100 missing at 1 and 100 missing at 2.
    check(text, 300.0, &[0.0, 100.0, 300.0]);
}

/// By hand: `a` and `b` share the first link at 5 each; `c` gets what `b` leaves of the second, 15.
#[test]
fn max_min_fairness_fills_all_links() {
    let text = r#"
        objective = "max-min-fairness"
        capacities = { first = 10.0, second = 20.0 }
        tasks = [
            { name = "a", needs = { first = 1.0 } },
            { name = "b", needs = { first = 1.0, second = 1.0 } },
            { name = "c", needs = { second = 1.0 } },
        ]
    "#;
    check(text, 5.0, &[5.0, 5.0, 15.0]);
    // With three times the weight `b` gets three times as much as `a`.
    check(&text.replace("\"b\",", "\"b\", weight = 3.0,"), 2.5, &[2.5, 7.5, 12.5]);
    // What `a` cannot use goes to `b`; what is demanded comes first.
    check(&text.replace("\"a\",", "\"a\", most = 2.0,"), 2.0, &[2.0, 8.0, 12.0]);
    check(&text.replace("\"c\",", "\"c\", demand = 18.0,"), 2.0, &[8.0, 2.0, 18.0]);
}

#[test]
fn what_does_not_fit_is_named_with_the_amount() {
    let text = r#"
        objective = "minimum-cost"
        capacities = { gpu = 8.0, memory = 100.0 }
        tasks = [
            { name = "a", demand = 6.0, needs = { gpu = 1.0, memory = 10.0 } },
            { name = "b", demand = 6.0, needs = { gpu = 1.0, memory = 1.0 } },
        ]
    "#;
    let message = error(text);
    assert_eq!(
        message,
        "a.toml: the demands do not fit: the capacity of \"gpu\" is 8, 4 too little (they need 12); 66.7 % of every \
         demand would fit"
    );
    let timed = JOBS.replace("minimum-completion-time\"", "minimum-cost\"\nwithin_s = 7200.0");
    let message = error(&timed);
    assert!(
        message.contains("the capacity of \"gpu\" (2 for 7200 s, in unit-seconds) is 14400, "),
        "{message}"
    );
    let none = JOBS.replace("gpu = 2.0", "gpu = 0.0").replace("cpu = 4.0,", "cpu = 0.0,");
    assert!(error(&none).contains("is 0, "), "{}", error(&none));
}

#[test]
fn what_has_no_end_is_named() {
    let text =
        "objective = \"maximum-total\"\n[[tasks]]\nname = \"a\"\nmost = 1.0\n[[tasks]]\nname = \"b\"\n";
    assert_eq!(
        error(text),
        "a.toml line 6: task \"b\" can grow without end: give it `most`, or `needs` that a capacity limits"
    );
}

#[test]
fn mistakes_are_named_with_their_line() {
    let check = |text: &str, expected: &str| assert!(error(text).contains(expected), "{}", error(text));
    check("objective = \"minimum-cost\"\n[[tasks]]\nname = \"a\"\ncosts = 1.0", "unknown field `costs`");
    check("objective = \"minimum-cost\"\n[[tasks]]\nname = \"a\"\ncosts = 1.0", "line 4");
    check("objective = \"least\"", "unknown variant `least`, expected one of");
    check("[[tasks]]\nname = \"a\"", "line 2: there are tasks but no `objective`");
    check("objective = \"minimum-cost\"", "line 1: there is an objective but no [[tasks]]");
    check("", "it asks nothing");
    let task = |rest: &str| {
        format!("objective = \"minimum-cost\"\ncapacities = {{ cpu = 1.0 }}\n[[tasks]]\nname = \"a\"\n{rest}")
    };
    check(&task("demand = -1.0"), "line 4: demand of task \"a\" is -1");
    check(&task("demand = 2.0\nmost = 1.0"), "demands 2 units, its `most` is 1");
    check(&task("needs = { gpu = 1.0 }"), "needs \"gpu\", which has no capacity; [capacities] has cpu");
    check(&task("time_s = 1.0"), "time_s of task \"a\" has no effect without `within_s`");
    check(&task("at_once = 1.0"), "at_once of task \"a\" has no effect");
    check(&task("ways = []"), "`ways` of task \"a\" is empty");
    check(&task("cost = 1.0\nways = [{ name = \"w\" }]"), "write needs, cost and time_s in each of them");
    check(&task("[[tasks]]\nname = \"a\""), "line 6: a second task is called \"a\"");
    check(&format!("within_s = 0.0\n{}", task("")), "line 1: within_s is 0");
    check(&task("").replace("minimum-cost", "minimum-completion-time"), "has no `time_s`");
    check(&task("weight = 0.0").replace("minimum-cost", "max-min-fairness"), "weight of task \"a\" is 0");
}

#[test]
fn mistakes_in_choices_are_named_with_their_line() {
    let check = |text: &str, expected: &str| assert!(error(text).contains(expected), "{}", error(text));
    check("\n[placement]\nnodes = []", "line 2: [placement] needs at least one node and one task");
    check("[placement]\nnodes = [{ name = \"a\", load = -1.0 }]", "line 2: load of node \"a\" is -1");
    check("[placement]\nnode = []", "unknown field `node`");
    check("\n[transfer]\nbytes = -1.0\npaths = []", "line 2: bytes of [transfer] is -1");
    let path = |top: &str, rest: &str| {
        format!("[transfer]\n{top}\n[[transfer.paths]]\nname = \"a\"\ndelay_s = 1.0\n{rest}")
    };
    check(&path("", ""), "line 4: path \"a\" has no `size`, on which the delay per unit depends");
    check(&path("bytes = 1.0", "size = 1.0"), "path \"a\" has no `bytes_per_s`");
    check(&path("", "size = 0.0"), "size of path \"a\" is 0, it must be a number above 0");
}

fn placed(tasks: usize, load: f64, capacity: &str) -> Result<Vec<String>, String> {
    let node = |name: &str, load: f64| format!("{{ name = \"{name}\", load = {load:?}{capacity} }}");
    let nodes = [node("a", 0.5), node("b", 0.7), node("c", 0.3), node("d", 0.8)].join(", ");
    let text = format!("[placement]\ntasks = {tasks}\nload = {load:?}\nnodes = [{nodes}]");
    let rows = solve(&text, "a.toml").map_err(|error| error.to_string())?.placement.unwrap();
    Ok(rows.into_iter().map(|row| row.node).collect())
}

#[test]
fn tasks_go_to_the_least_loaded_node() {
    assert_eq!(placed(1, 0.2, "").unwrap(), ["c"]);
    // After the first `c` has 0.5, as `a` has: the first of equals.
    assert_eq!(placed(4, 0.2, "").unwrap(), ["c", "a", "c", "a"]);
    assert_eq!(
        placed(5, 0.3, ", capacity = 1.0").unwrap_err(),
        "a.toml: task 5 fits on no node: \"a\", the least loaded, has load 0.8 of 1 and would be 0.1 over"
    );
}

#[test]
fn a_table_need_not_have_its_own_header() {
    let text = "[[placement.nodes]]\nname = \"a\"\nload = 1.0";
    assert_eq!(solve(text, "a.toml").unwrap().placement.unwrap()[0].node, "a");
}

fn transfer(bytes: &str) -> Transfer {
    let path = |name: &str, delay: f64| {
        format!(
            "{{ name = \"{name}\", delay_s = {delay:?}, size = {0:?}, bytes_per_s = {0:?} }}",
            10.0 * delay
        )
    };
    let paths = [path("a", 10.0), path("b", 20.0), path("c", 30.0)].join(", ");
    solve(&format!("[transfer]\n{bytes}\npaths = [{paths}]"), "a.toml").unwrap().transfer.unwrap()
}

/// By hand: 10 + D/100 and 20 + D/200 meet at 2,000 bytes, 20 + D/200 and 30 + D/300 at 6,000.
#[test]
fn the_path_depends_on_what_is_carried() {
    let equal = transfer("");
    assert_eq!(equal.path, "a");
    assert!(equal.paths.iter().all(|row| (row.price_s - 0.1).abs() < 1e-12), "{equal:?}");
    let best: Vec<(f64, &str)> =
        equal.best_from.iter().map(|point| (point.bytes.round(), point.path.as_str())).collect();
    assert_eq!(best, [(0.0, "a"), (2000.0, "b"), (6000.0, "c")]);
    for (bytes, path) in [(0.0, "a"), (1999.0, "a"), (2001.0, "b"), (5999.0, "b"), (6001.0, "c")] {
        assert_eq!(transfer(&format!("bytes = {bytes:?}")).path, path, "{bytes}");
    }
}
