//! Requests, batches and answers as text.

use super::*;

fn meta() -> ModelMeta {
    let tensor = |name: &str, datatype: &str, shape: &[i64]| TensorMeta {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
    };
    ModelMeta {
        name: "m".into(),
        inputs: vec![tensor("x", "FP32", &[-1, 2]), tensor("k", "UINT8", &[-1, 1])],
        outputs: vec![tensor("y", "FP32", &[-1, 2])],
    }
}

fn request(x: &str, k: &str) -> String {
    format!(
        r#"{{"id": "q", "inputs": [
            {{"name": "k", "shape": [1, 1], "datatype": "UINT8", "data": {k}}},
            {{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": {x}}}]}}"#
    )
}

fn row(x: &str, k: &str) -> Result<Row, String> {
    Row::parse(request(x, k).as_bytes(), &meta())
}

#[test]
fn rows_are_joined_and_answers_are_split() {
    let rows = [row("[1.50, -2e-3]", "[7]").unwrap(), row("[[3, 4]]", "[[8]]").unwrap()];
    let body = join(&meta(), rows.iter());
    let wanted = r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1.50,-2e-3,3,4]},{"name":"k","shape":[2,1],"datatype":"UINT8","data":[7,8]}]}"#;
    assert_eq!(body, wanted);
    let answered = r#"{"model_name":"m","outputs":[{"name":"y","shape":[2,2],"datatype":"FP32","data":[0.10, 2, [3, 4]]}]}"#;
    let parts = split(answered.as_bytes(), &meta(), 2).unwrap();
    assert_eq!(parts[0], r#"[{"name":"y","shape":[1,2],"datatype":"FP32","data":[0.10,2]}]"#);
    assert_eq!(parts[1], r#"[{"name":"y","shape":[1,2],"datatype":"FP32","data":[3,4]}]"#);
    let one = answer("m", Some("a\"b"), &parts[1]);
    let read: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&read["id"], &read["outputs"][0]["data"][1]), (&json!("a\"b"), &json!(4)));
}

#[test]
fn what_would_spoil_a_batch_is_refused_with_its_reason() {
    for (x, k, why) in [
        ("[1]", "[7]", "input \"x\": 1 numbers given, the shape needs 2"),
        ("[1, 2, 3]", "[7]", "input \"x\": 3 numbers given, the shape needs 2"),
        ("[]", "[7]", "input \"x\": 0 numbers given, the shape needs 2"),
        ("[1, \"2\"]", "[7]", "input \"x\": the data are not an array of numbers"),
        ("[1, null]", "[7]", "input \"x\": null is no FP32"),
        ("[1, 1e39]", "[7]", "input \"x\": 1e39 is no FP32"),
        ("[[1], []]", "[7]", "input \"x\": the data have an empty array among others"),
        ("[1, 2]", "[256]", "input \"k\": 256 is no UINT8"),
        ("[1, 2]", "[-1]", "input \"k\": -1 is no UINT8"),
        ("[1, 2]", "[1.5]", "input \"k\": 1.5 is no UINT8"),
    ] {
        assert_eq!(row(x, k).unwrap_err(), why);
    }
    let with = |from: &str, to: &str| {
        let text = request("[1, 2]", "[7]").replace(from, to);
        Row::parse(text.as_bytes(), &meta()).unwrap_err()
    };
    assert!(with("[1, 2], \"datatype\"", "[2, 2], \"datatype\"").contains("2 rows in one request"));
    assert!(with("[1, 2], \"datatype\"", "[1, 3], \"datatype\"").contains("the shape is [1, 3]"));
    assert!(with("FP32", "FP64").contains("the datatype is FP64, not FP32"));
    assert!(with("\"x\"", "\"z\"").contains("there is no input \"x\""));
    assert!(with("\"id\": \"q\"", "\"parameters\": {\"deadline_ms\": 0}").contains("deadline_ms is 0"));
    assert!(with("\"inputs\"", "\"outputs\"").contains("missing field `inputs`"));
}

#[test]
fn an_answer_to_other_rows_is_refused() {
    let answered = |shape: &str, data: &str| {
        let text =
            format!(r#"{{"outputs":[{{"name":"y","shape":{shape},"datatype":"FP32","data":{data}}}]}}"#);
        split(text.as_bytes(), &meta(), 2).unwrap_err()
    };
    assert!(answered("[3,2]", "[1,2,3,4,5,6]").contains("[3, 2] for 2 rows"));
    assert!(answered("[2,2]", "[1,2,3]").contains("3 numbers for 2 rows"));
    assert!(split(br#"{"outputs":[]}"#, &meta(), 2).unwrap_err().contains("0 outputs came"));
}

#[test]
fn only_models_with_a_batch_in_front_are_taken() {
    let mut open = meta();
    assert_eq!(open.check(), Ok(()));
    open.inputs[0].shape = vec![-1, -1];
    assert!(open.check().unwrap_err().contains("only the first size may be -1"));
    open.inputs[0] = TensorMeta { name: "t".into(), datatype: "BYTES".into(), shape: vec![-1, 1] };
    assert!(open.check().unwrap_err().contains("is of BYTES"));
}
