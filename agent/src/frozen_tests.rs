//! Each way in which a frozen policy can be wrong is refused by name.

use serde_json::{Value, json};
use yardmaster_env::observe::Schema;

use super::*;
use crate::net::tests::{observation, random_net};

fn names(group: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{group}_{i}")).collect()
}

fn schema() -> Schema {
    Schema { global: names("g", 2), job: names("j", 3), node: names("n", 2), pair: names("p", 3) }
}

fn frozen() -> Frozen {
    let sizes = Sizes { hidden: 4, embed: 3, context: 4, pair: 3, wait: 2 };
    let dims = Dims::from(&schema());
    let params: Vec<f32> = random_net(dims, 9).params()[..Layout::policy(&dims, &sizes).total()].to_vec();
    let net = PolicyNet::new(dims, sizes, 0.5, &params).unwrap();
    let cases: Vec<_> = (0..8).map(|i| (observation(&dims, 3, 2, 5, i), Some(i as usize % 6))).collect();
    let text = str::to_owned;
    let origin = Origin {
        schema: schema(),
        prior: text("mct"),
        mask_rule: text("listed"),
        objective: text("mean completion time"),
        scenario: text("toy"),
        scenario_digest: text("00"),
        command: text("train"),
        revision: text("0"),
        seed: 7,
        steps: 100,
        benchmark: json!([{"policy": "mct", "mean": 1.5}]),
    };
    Frozen::new(origin, net, &cases).unwrap()
}

/// The file with its card changed; everything else stays.
fn with_card(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let bytes = to_bytes(&frozen()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut card = serde_json::to_value(&frozen().card).unwrap();
    change(&mut card);
    let metadata = HashMap::from([(CARD.to_owned(), card.to_string())]);
    safetensors::serialize(file.iter(), Some(metadata)).unwrap()
}

/// The file with its tensors changed (name, type, shape, bytes); the card stays.
fn with_tensors(change: impl FnOnce(&mut Vec<(String, Dtype, Vec<usize>, Vec<u8>)>)) -> Vec<u8> {
    let bytes = to_bytes(&frozen()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut parts: Vec<_> = file
        .iter()
        .map(|(name, t)| (name.to_owned(), t.dtype(), t.shape().to_vec(), t.data().to_vec()))
        .collect();
    change(&mut parts);
    let views = parts.iter().map(|(n, d, s, b)| (n.clone(), TensorView::new(*d, s.clone(), b).unwrap()));
    let card = serde_json::to_string(&frozen().card).unwrap();
    safetensors::serialize(views, Some(HashMap::from([(CARD.to_owned(), card)]))).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read_back() {
    let folder = std::env::temp_dir().join(format!("yardmaster-frozen-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("policy.safetensors");
    write(&path, &frozen()).unwrap();
    write(&path, &frozen()).unwrap();
    let back = read(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(back, frozen());
    back.verify_golden().unwrap();
    assert_eq!(back.reading(&schema()).unwrap(), back);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "a temporary file is left");
    assert!(matches!(write(&folder.join("no/file"), &frozen()), Err(FrozenError::Io { .. })));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_truncation_is_refused() {
    let bytes = to_bytes(&frozen()).unwrap();
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "the first {length} bytes were taken");
    }
    let longer = [bytes, vec![0]].concat();
    assert!(read(&longer).is_err());
}

#[test]
fn a_changed_byte_of_a_weight_is_refused() {
    let mut bytes = to_bytes(&frozen()).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    assert!(refusal(&bytes).starts_with("the tensors have the digest"));
}

#[test]
fn limits_are_kept() {
    assert!(refusal(&vec![0; MAX_FILE + 1]).starts_with("the file has 67108865 bytes"));
    let header = (MAX_HEADER as u64 + 1).to_le_bytes();
    assert!(refusal(&header).starts_with("the header has 1048577 bytes"));
    assert!(refusal(b"no policy of ours").starts_with("it is no safetensors file; `yardmaster-train export"));
    let wide = with_card(|card| card["sizes"]["hidden"] = json!(5000));
    assert_eq!(refusal(&wide), "layer `hidden` is 5000 wide, the limit is 4096");
}

#[test]
fn wrong_cards_are_refused() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 14] = [
        ("the file has format version 2, this program reads 1", |c| c["format"] = json!(2)),
        ("the file has format version null, this program reads 1", |c| c["format"] = Value::Null),
        ("unknown field `extra`", |c| c["extra"] = json!(1)),
        ("missing field `sizes`", |c| drop(c.as_object_mut().unwrap().remove("sizes"))),
        ("the card's schema id is 0", |c| c["schema_id"] = json!("0")),
        ("its schema has", |c| c["origin"]["schema"]["job"][1] = json!("other")),
        ("the card has 7 golden cases", |c| drop(c["golden"].as_array_mut().unwrap().pop())),
        ("golden case 1: its rows do not", |c| drop(c["golden"][1]["jobs"].as_array_mut().unwrap().pop())),
        ("golden case 2: global features", |c| c["golden"][2]["global"] = json!([1.0])),
        ("golden case 0: pair features", |c| c["golden"][0]["pair_features"] = json!([1.0])),
        ("golden case 0: a candidate names a row", |c| c["golden"][0]["pairs"][0] = json!([3, 0])),
        ("golden case 3: there is not one logit", |c| c["golden"][3]["wait"] = json!(false)),
        ("golden case 3: its action is not legal", |c| c["golden"][3]["action"] = json!(6)),
        ("the tensors have the digest", |c| c["digest"] = json!("0")),
    ];
    for (expected, change) in cases {
        let message = refusal(&with_card(change));
        assert!(message.contains(expected), "{message} does not say: {expected}");
    }
    let message = refusal(&with_card(|c| c["golden"][3]["prior"] = json!(6)));
    assert_eq!(message, "golden case 3: its prior is not legal");
}

#[test]
fn wrong_metadata_is_refused() {
    let bytes = to_bytes(&frozen()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let none = safetensors::serialize(file.iter(), None).unwrap();
    assert!(refusal(&none).starts_with("the header's metadata has the keys []"));
    let two = HashMap::from([(CARD.to_owned(), String::new()), ("note".to_owned(), String::new())]);
    let two = safetensors::serialize(file.iter(), Some(two)).unwrap();
    assert!(refusal(&two).starts_with("the header's metadata has the keys [\"card\", \"note\"]"));
}

#[test]
fn wrong_tensors_are_refused() {
    let unknown = with_tensors(|parts| parts[0].0 = "job.9.w".to_owned());
    assert_eq!(refusal(&unknown), "the file has an unknown tensor `job.9.w`");
    let missing = with_tensors(|parts| parts.retain(|part| part.0 != "pair.b"));
    assert_eq!(refusal(&missing), "the file lacks the tensor `pair.b`");
    let reshaped =
        with_tensors(|parts| parts.iter_mut().filter(|p| p.0 == "job.0.w").for_each(|p| p.2.reverse()));
    assert_eq!(refusal(&reshaped), "tensor `job.0.w` is F32 [4, 3], expected float32 [3, 4]");
    let retyped =
        with_tensors(|parts| parts.iter_mut().filter(|p| p.0 == "pair.b").for_each(|p| p.1 = Dtype::I32));
    assert_eq!(refusal(&retyped), "tensor `pair.b` is I32 [3], expected float32 [3]");
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let mut frozen = frozen();
    let mut params = frozen.net.params().to_vec();
    params[0] = f32::INFINITY;
    frozen.card.digest = digest(&params);
    let mut bytes = with_tensors(|parts| {
        let part = parts.iter_mut().find(|part| part.0 == "job.0.w").unwrap();
        part.3[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    });
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let card = serde_json::to_string(&frozen.card).unwrap();
    bytes = safetensors::serialize(file.iter(), Some(HashMap::from([(CARD.to_owned(), card)]))).unwrap();
    assert_eq!(refusal(&bytes), "weight 0 of `job.0.w` is inf");
}

#[test]
fn golden_cases_that_come_out_otherwise_are_refused() {
    let nudged = |by: f64| {
        with_card(move |c| {
            let logit = &mut c["golden"][4]["logits"][2];
            *logit = json!(logit.as_f64().unwrap() + by);
        })
    };
    read(&nudged(1e-6)).unwrap().verify_golden().unwrap();
    let error = read(&nudged(1e-3)).unwrap().verify_golden().unwrap_err().to_string();
    assert!(error.starts_with("golden case 4: logit 2 is"), "{error}");
    let other = with_card(|c| {
        let action = c["golden"][5]["action"].as_u64().unwrap();
        c["golden"][5]["action"] = json!((action + 1) % 6);
    });
    let error = read(&other).unwrap().verify_golden().unwrap_err().to_string();
    assert!(error.starts_with("golden case 5: action"), "{error}");
}

#[test]
fn a_feature_that_is_not_computed_is_refused_by_its_name() {
    let mut other = schema();
    other.node[1] = "free".to_owned();
    let message = frozen().reading(&other).unwrap_err().to_string();
    assert_eq!(
        message,
        "node feature 1 of the policy, `n_1`, is none of this program's: it needs the version it was trained with, or to be trained again"
    );
    let mut shorter = schema();
    shorter.pair.pop();
    let message = frozen().reading(&shorter).unwrap_err().to_string();
    assert!(message.starts_with("pair feature 2 of the policy, `p_2`, is none"), "{message}");
}

#[test]
fn features_that_a_policy_does_not_know_make_no_difference() {
    let Schema { mut global, mut job, mut node, mut pair } = schema();
    global.insert(0, "new".to_owned());
    job.reverse();
    job.insert(2, "new".to_owned());
    node.push("new".to_owned());
    pair.splice(1..1, names("new", 2));
    let schema = Schema { global, job, node, pair };
    let (own, here) = (frozen(), frozen().reading(&schema).unwrap());
    assert_eq!(
        (&here.card.origin.schema, here.card.schema_id.as_str()),
        (&schema, schema_id(&schema).as_str())
    );
    here.verify_golden().unwrap();
    let (mut one, mut other) = <(Scratch, Scratch)>::default();
    for (old, new) in own.card.golden.iter().zip(&here.card.golden) {
        let mut seen = new.observation();
        assert_eq!(seen.jobs[..4], [old.jobs[2], old.jobs[1], 0.0, old.jobs[0]]);
        seen.global[0] = 3.0;
        seen.jobs.iter_mut().skip(2).step_by(4).for_each(|new| *new = -2.0);
        seen.pair_features.iter_mut().skip(1).step_by(5).for_each(|new| *new = 7.0);
        let expected = own.net.logits(&old.observation(), old.prior, &mut one);
        let found = here.net.logits(&seen, new.prior, &mut other);
        assert!(
            expected.iter().zip(found).all(|(one, other)| (one - other).abs() < 1e-6),
            "{expected:?} {found:?}"
        );
    }
    // As a file of its own.
    let again = read(&to_bytes(&here).unwrap()).unwrap();
    assert_eq!(again, here);
}

/// The seed of the fuzz target is a file that this version writes; `UPDATE_EXPECT=1` writes it.
#[test]
fn the_seed_for_fuzzing_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/frozen/small.safetensors");
    let bytes = to_bytes(&frozen()).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}
