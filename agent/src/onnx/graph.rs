//! Operators one after another: a builder of `GraphProto` that names intermediate values by itself.

use super::proto::{Element, Length, Message, attribute, attribute_list, tensor, value};

/// The name of a value in the graph.
pub(super) type Value = String;

/// A graph under construction; operators are in the order of their making, as ONNX demands.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
    made: usize,
}

impl Graph {
    /// Declares an input.
    pub(super) fn input(&mut self, name: &str, about: &str, element: Element, shape: &[Length]) -> Value {
        self.inputs.push(value(name, about, element, shape));
        name.to_owned()
    }

    /// Declares that `from` is the output of that name.
    pub(super) fn output(
        &mut self,
        name: &str,
        about: &str,
        element: Element,
        shape: &[Length],
        from: &Value,
    ) {
        self.node("Identity", &[from], &[], name);
        self.outputs.push(value(name, about, element, shape));
    }

    /// Constant floats.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constants.push(tensor(name, Element::Float, shape, &bytes));
        name.to_owned()
    }

    /// One constant float.
    pub(super) fn float(&mut self, name: &str, value: f32) -> Value {
        self.floats(name, &[], &[value])
    }

    /// A constant list of whole numbers, such as axes.
    pub(super) fn list(&mut self, name: &str, values: &[i64]) -> Value {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constants.push(tensor(name, Element::Int64, &[values.len()], &bytes));
        name.to_owned()
    }

    /// An operator without attributes.
    pub(super) fn apply(&mut self, operator: &str, inputs: &[&Value]) -> Value {
        self.apply_with(operator, inputs, &[])
    }

    /// An operator with an attribute.
    pub(super) fn apply_int(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attribute_name: &str,
        number: i64,
    ) -> Value {
        self.apply_with(operator, inputs, &[attribute(attribute_name, number)])
    }

    /// The largest along an axis, which is kept with length 1.
    pub(super) fn reduce_max(&mut self, input: &Value, axis: i64) -> Value {
        self.apply_with("ReduceMax", &[input], &[attribute_list("axes", &[axis]), attribute("keepdims", 1)])
    }

    /// The index of the largest along an axis, the first of equals; the axis goes.
    pub(super) fn arg_max(&mut self, input: &Value, axis: i64) -> Value {
        let attributes =
            [attribute("axis", axis), attribute("keepdims", 0), attribute("select_last_index", 0)];
        self.apply_with("ArgMax", &[input], &attributes)
    }

    fn apply_with(&mut self, operator: &str, inputs: &[&Value], attributes: &[Message]) -> Value {
        self.made += 1;
        let name = format!("{}_{}", operator.to_lowercase(), self.made);
        self.node(operator, inputs, attributes, &name);
        name
    }

    /// `NodeProto`.
    fn node(&mut self, operator: &str, inputs: &[&Value], attributes: &[Message], output: &str) {
        let read = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
        let node = read.text(2, output).text(3, &format!("make_{output}")).text(4, operator);
        self.nodes.push(node.messages(5, attributes));
    }

    /// The encoded `GraphProto`.
    pub(super) fn finish(self, name: &str, about: &str) -> Message {
        let named = Message::default().messages(1, &self.nodes).text(2, name).messages(5, &self.constants);
        named.text(10, about).messages(11, &self.inputs).messages(12, &self.outputs)
    }
}
