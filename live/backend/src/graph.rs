//! Small networks as ONNX files: nothing is trained, the weights are random and the same for the same seed.

use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};

/// Operators of ONNX 1.8.
const OPSET: i64 = 13;
const IR_VERSION: i64 = 7;

/// Fully connected layers of these widths with ReLU between them: input (N, first), output (N, last).
pub(crate) fn mlp(widths: &[i64], seed: u64) -> Vec<u8> {
    let mut graph = Graph::new(seed, &widths[..1]);
    for (at, pair) in widths.windows(2).enumerate() {
        graph.dense(pair[0], pair[1]);
        if at + 2 < widths.len() {
            graph.node("Relu", &[], Vec::new());
        }
    }
    graph.finish(&widths[widths.len() - 1..])
}

/// Convolutions of 3x3 with these channels over a square image, each with ReLU, and one dense layer: input
/// (N, first, side, side), output (N, classes).
pub(crate) fn conv(side: i64, channels: &[i64], classes: i64, seed: u64) -> Vec<u8> {
    let mut graph = Graph::new(seed, &[channels[0], side, side]);
    for pair in channels.windows(2) {
        let weights = graph.weights(&[pair[1], pair[0], 3, 3], pair[0] * 9);
        let pads = integers("pads", &[1, 1, 1, 1]);
        graph.node("Conv", &[weights], vec![integers("kernel_shape", &[3, 3]), pads]);
        graph.node("Relu", &[], Vec::new());
    }
    graph.node("Flatten", &[], vec![integer("axis", 1)]);
    graph.dense(channels[channels.len() - 1] * side * side, classes);
    graph.finish(&[classes])
}

/// A chain of nodes.
struct Graph {
    random: Xoshiro256PlusPlus,
    graph: GraphProto,
    /// What the last node gives.
    last: String,
}

impl Graph {
    fn new(seed: u64, shape: &[i64]) -> Graph {
        let graph = GraphProto { name: "net".into(), input: vec![value("x", shape)], ..Default::default() };
        Graph { random: Xoshiro256PlusPlus::seed_from_u64(seed), graph, last: "x".into() }
    }

    /// Weights, uniform with the variance that keeps activations about as large from layer to layer.
    fn weights(&mut self, dims: &[i64], fan_in: i64) -> String {
        let bound = (6.0 / fan_in as f64).sqrt() as f32;
        let count: i64 = dims.iter().product();
        let float_data = (0..count).map(|_| bound * (2.0 * self.random.random::<f32>() - 1.0)).collect();
        let name = format!("w{}", self.graph.initializer.len());
        let data_type = DataType::Float as i32;
        let tensor = TensorProto {
            name: name.clone(),
            dims: dims.to_vec(),
            data_type,
            float_data,
            ..Default::default()
        };
        self.graph.initializer.push(tensor);
        name
    }

    fn dense(&mut self, inputs: i64, outputs: i64) {
        let weights = self.weights(&[inputs, outputs], inputs);
        let bias = self.weights(&[outputs], 600);
        self.node("Gemm", &[weights, bias], Vec::new());
    }

    /// Adds a node behind the last.
    fn node(&mut self, operator: &str, others: &[String], attribute: Vec<AttributeProto>) {
        let name = format!("n{}", self.graph.node.len());
        let input = std::iter::once(self.last.clone()).chain(others.iter().cloned()).collect();
        let (output, op_type) = (vec![name.clone()], operator.to_owned());
        let node = NodeProto { input, output, name: name.clone(), op_type, attribute, ..Default::default() };
        self.graph.node.push(node);
        self.last = name;
    }

    fn finish(mut self, shape: &[i64]) -> Vec<u8> {
        self.graph.output = vec![value(&self.last, shape)];
        let model = ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: "yardmaster".into(),
            graph: Some(self.graph),
            ..Default::default()
        };
        model.encode_to_vec()
    }
}

/// A float32 tensor with a batch of any size in front.
fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dimension = |value| Dimension { value: Some(value), ..Default::default() };
    let batch = dimension(Size::DimParam("N".into()));
    let rest = shape.iter().map(|&size| dimension(Size::DimValue(size)));
    let dim = std::iter::once(batch).chain(rest).collect();
    let tensor = Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let kind = TypeProto { value: Some(Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..Default::default() }
}

fn integers(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = AttributeType::Ints as i32;
    AttributeProto { name: name.to_owned(), r#type, ints: values.to_vec(), ..Default::default() }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    let r#type = AttributeType::Int as i32;
    AttributeProto { name: name.to_owned(), r#type, i: value, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_file() {
        assert_eq!(mlp(&[3, 5, 2], 1), mlp(&[3, 5, 2], 1));
        assert_ne!(mlp(&[3, 5, 2], 1), mlp(&[3, 5, 2], 2));
    }
}
