//! Models that are right, and files that are not.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::{GraphProto, TypeProto};

use super::*;
use crate::graph;

/// Loads a file of these bytes.
fn load(bytes: &[u8]) -> Result<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, bytes).unwrap();
    Model::load(&path, 3)
}

/// What is said of a file after a change to a sound model.
fn told(change: impl FnOnce(&mut GraphProto)) -> String {
    let mut proto = ModelProto::decode(&*graph::mlp(&[4, 6, 2], 1)).unwrap();
    change(proto.graph.as_mut().unwrap());
    format!("{:#}", load(&proto.encode_to_vec()).unwrap_err())
}

/// The dimensions and the type of the elements of an input or output.
fn tensor(value: &mut ValueInfoProto) -> (&mut Vec<Dimension>, &mut i32) {
    match &mut value.r#type {
        Some(TypeProto { value: Some(Value::TensorType(tensor)), .. }) => {
            (&mut tensor.shape.as_mut().unwrap().dim, &mut tensor.elem_type)
        }
        _ => panic!("no tensor"),
    }
}

/// Row for row what a batch gives is what each row gives alone.
#[test]
fn a_batch_gives_what_its_rows_give() {
    for (name, bytes) in [("dense", graph::mlp(&[6, 16, 3], 5)), ("image", graph::conv(4, &[2, 3], 3, 5))] {
        let model = load(&bytes).unwrap();
        let row = model.signature().input_row();
        let input: Vec<f32> = (0..3 * row).map(|at| (at as f32 * 0.37).sin()).collect();
        let together = model.run(&input, 3).unwrap();
        assert_eq!(together.len(), 9);
        for at in 0..3 {
            let alone = model.run(&input[at * row..][..row], 1).unwrap();
            for (one, other) in alone.iter().zip(&together[at * 3..]) {
                assert!((one - other).abs() < 1e-5, "{name}: {one} against {other}");
            }
        }
        assert_ne!(together[..3], together[3..6], "{name}: the rows differ");
    }
}

#[test]
fn what_cannot_be_served_is_told_by_name() {
    let told = [
        told(|graph| graph.input.push(ValueInfoProto { name: "y".into(), ..graph.input[0].clone() })),
        told(|graph| graph.output.clear()),
        told(|graph| *tensor(&mut graph.input[0]).1 = DataType::Int64 as i32),
        told(|graph| *tensor(&mut graph.input[0]).1 = 99),
        told(|graph| graph.output[0].r#type = None),
        told(|graph| tensor(&mut graph.input[0]).0.clear()),
        told(|graph| tensor(&mut graph.input[0]).0[1].value = None),
        told(|graph| tensor(&mut graph.input[0]).0[1].value = Some(Size::DimValue(i64::MAX))),
        told(|graph| tensor(&mut graph.input[0]).0[1].value = Some(Size::DimValue(5))),
        told(|graph| tensor(&mut graph.output[0]).0[1].value = Some(Size::DimValue(5))),
        told(|graph| graph.node[0].op_type = "Spell".into()),
        told(|graph| graph.node[0].input[1] = "nowhere".into()),
    ];
    let wanted = [
        "it has 2 inputs (x, y), and one is served",
        "it has 0 outputs (), and one is served",
        "\"x\" is of Int64, and float32 is served",
        "\"x\" is of type 99, and float32 is served",
        "is no tensor: export the model with tensors of float32",
        "\"x\" has no dimension for the batch",
        "dimension 1 of \"x\" has no size, and only the first",
        "a row of \"x\" has more than 4194304 numbers",
        "cannot run it in batches of 1",
        "cannot run it in batches of 1",
        "cannot run it in batches of 1",
        "cannot run it in batches of 1",
    ];
    for (told, wanted) in told.iter().zip(wanted) {
        assert!(told.contains("net.onnx: ") && told.contains(wanted), "{told}\ndoes not say {wanted:?}");
    }
}

#[test]
fn files_that_are_no_models_are_told_by_name() {
    for (bytes, wanted) in [
        (&b""[..], "net.onnx: there is no graph in it; is it an ONNX file?"),
        (b"hello, I am no model", "net.onnx is no ONNX file, or a damaged one; export it again"),
        (&graph::mlp(&[4, 6, 2], 1)[..90], "net.onnx is no ONNX file, or a damaged one"),
        (&[0xff; 100], "net.onnx is no ONNX file, or a damaged one"),
    ] {
        let told = format!("{:#}", load(bytes).unwrap_err());
        assert!(told.contains(wanted), "{told}\ndoes not say {wanted:?}");
    }
    let absent = format!("{:#}", Model::load(Path::new("/nowhere/net.onnx"), 1).unwrap_err());
    assert!(absent.starts_with("cannot read /nowhere/net.onnx as an ONNX file: "), "{absent}");
}

/// Whatever the bytes are, they are a model or an error that names the file.
#[test]
fn damaged_files_are_never_a_panic() {
    crate::guard::install();
    let sound = graph::conv(4, &[2, 3], 3, 5);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut refused = 0;
    for _ in 0..300 {
        let mut bytes = sound.clone();
        for _ in 0..random.random_range(1..4) {
            // The weights are most of the file: their numbers may be anything.
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        if let Err(error) = load(&bytes) {
            let told = format!("{error:#}");
            assert!(told.contains("net.onnx"), "{told}");
            refused += 1;
        }
    }
    assert!(refused > 30, "only {refused} of 300 were refused: nothing was tried");
}
