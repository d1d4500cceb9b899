//! What the gateway refuses before it serves anything; with real back ends it is tested in `tests/gateway`.

use serde_json::json;

use crate::support::Bench;

#[test]
fn a_configuration_that_cannot_be_is_refused_by_name() {
    let bench = Bench::new();
    let backend = "[[backends]]\nnode = \"v100-0\"\nurl = \"http://127.0.0.1:9\"\n";
    let model = "[[models]]\nname = \"resnet50\"\n";
    for (text, why) in [
        (format!("scenario = \"serving-burst\"\n{model}"), "missing field `backends`"),
        (format!("scenario = \"serving-burst\"\nspeed = 1\n{model}{backend}"), "unknown field `speed`"),
        (
            format!("scenario = \"serving-burst\"\ndrain_ms = 86400001\n{model}{backend}"),
            "drain_ms is 86400001, it must be at most 86400000, a day",
        ),
        (
            format!("scenario = \"serving-burst\"\n{backend}{model}deadline_ms = 1e300\n"),
            "it must be above 0 and at most 86400000",
        ),
        (format!("scenario = \"serving-burst\"\nattempts = 0\n{model}{backend}"), "attempts is 0"),
        (
            format!("scenario = \"serving-burst\"\n{model}{}", backend.replace("v100-0", "x")),
            "backend \"x\" is no node of serving-burst, which has v100-0, ",
        ),
        (format!("scenario = \"serving-burst\"\n{model}{backend}{backend}"), "named twice"),
        (format!("scenario = \"serving-burst\"\n{backend}{}", model.replace("50", "51")), "is unknown"),
        (
            format!("scenario = \"serving-burst\"\n{model}{}", backend.replace("http:", "ftp:")),
            "give an address of the form http://host:port",
        ),
        (
            format!("scenario = \"serving-burst\"\n{model}{}", backend.replace(":9\"", ":nine\"")),
            "give an address of the form http://host:port",
        ),
        (format!("scenario = \"missing.toml\"\n{model}{backend}"), "missing.toml"),
    ] {
        bench.put("g.toml", &text);
        let error = bench.fails("gateway --config g.toml --policy mct");
        assert!(error.contains(why), "{error}\ndoes not say {why:?}");
    }
    bench.put("g.toml", format!("scenario = \"serving-burst\"\n{model}{backend}"));
    let exposed = bench.fails("gateway --config g.toml --policy mct --listen 0.0.0.0:0");
    assert!(exposed.contains("add --expose if that is meant"), "{exposed}");
    assert!(bench.fails("gateway --config g.toml --policy nothing").contains("nothing"));
    let nobody = bench.fails("gateway --config g.toml");
    assert!(nobody.contains("--policy <NAME>|--checkpoint <FILE>"), "{nobody}");
}

#[test]
fn tables_are_made_of_rows_again_and_nobody_else_is_compared_with() {
    let bench = Bench::new();
    let row = |policy: &str, seed: u32, mean_ms: f64| {
        json!({
            "policy": policy, "seed": seed,
            "live": {
                "requests": 10, "answered": 10, "errors": {}, "duration_s": 1.0, "mean_ms": mean_ms, "p50_ms": 5.0,
                "p99_ms": 9.0, "slo_attainment": 0.9, "mean_batch": 2.0, "lag_p99_ms": 0.1,
            },
            "simulated": {
                "mean_ms": 5.0, "p50_ms": 5.0, "p99_ms": 9.0, "slo_attainment": 0.8, "mean_batch": 2.0,
            },
        })
    };
    let config = json!({ "scenario": "s.toml", "backends": [], "models": [] });
    let rows = [row("fcfs", 1, 4.0), row("mct", 1, 8.0), row("fcfs", 2, 6.0), row("mct", 2, 12.0)];
    bench.put("rows.json", json!({ "config": config, "rows": rows }).to_string());
    let page = bench.ok("live-compare --rows rows.json --against fcfs");
    assert!(page.contains("| mct | 10.00 | 5.00 | -50.0 % |"), "{page}");
    assert!(page.contains("| fcfs | 10.00 % | 20.00 % | - | - | - | - | - |"), "{page}");
    assert!(page.contains("| 2.000 [2.000, 2.000] | 1.000 [1.000, 1.000] | no |"), "{page}");
    assert!(bench.ok("live-compare --rows rows.json").contains("Against mct on the same arrivals"));
    let nobody = bench.fails("live-compare --rows rows.json --against wrr");
    assert!(nobody.contains("--against wrr: give one of those that take part, fcfs, mct"), "{nobody}");
    bench.put("rows.json", "[]");
    assert!(bench.fails("live-compare --rows rows.json").contains("rows.json holds no rows of live-compare"));
    assert!(bench.fails("live-compare").contains("--config"));
}
