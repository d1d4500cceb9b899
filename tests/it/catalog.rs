//! `yardmaster inspect catalog`.

use crate::support::Bench;

#[test]
fn the_catalogue_is_printed_with_its_provenance_within_the_page() {
    let text = Bench::new().ok("inspect catalog");
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{line}");
        assert_eq!(line, line.trim_end());
    }
    for part in [
        "\ndevices\n",
        "\nmodels to train",
        "\nmodels to serve",
        "\ngangs in the table\n",
        "\nsources\n",
        "%) measured",
        // Half of the memory bandwidth of a board is scaled, an idle power judgement.
        "240'",
        "  k80       gpu      12 ",
        "  gavel (measured; MIT)\n",
        // What a row of each matrix says: batches, and a gang with the batch that does not run.
        "m 16-128",
        "k80 2/256,4/512,8/1024",
        "bert-qa/6l-fp16",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn the_catalogue_as_json_tells_source_and_provenance_of_every_figure() {
    let catalog = Bench::new().json("inspect catalog --json -");
    let list = |key: &str| catalog[key].as_array().unwrap().clone();
    let known: Vec<String> =
        list("sources").iter().map(|source| source["id"].as_str().unwrap().to_owned()).collect();
    let variants =
        list("inference").into_iter().flat_map(|model| model["variants"].as_array().unwrap().clone());
    let mut figures = 0;
    for entry in list("devices").into_iter().chain(list("training")).chain(variants) {
        for (key, figure) in entry["figures"].as_object().unwrap() {
            assert!(figure["value"].is_number(), "{key}");
            assert!(known.contains(&figure["source"].as_str().unwrap().to_owned()), "{key}");
            assert!(["measured", "scaled", "estimated"].contains(&figure["provenance"].as_str().unwrap()));
            figures += 1;
        }
    }
    assert!(figures > 400);
    for cell in list("training_cells").into_iter().chain(list("inference_cells")) {
        assert!(known.contains(&cell["source"].as_str().unwrap().to_owned()));
    }
}

#[test]
fn json_is_for_the_catalogue() {
    let bench = Bench::new();
    assert!(bench.fails("inspect tiny --json -").contains("goes with `inspect catalog`"));
    bench.ok("inspect catalog --json catalog.json");
    assert_eq!(bench.list(), ["catalog.json"]);
}
