//! The few messages of `onnx.proto3` that an exported policy consists of, in Protocol Buffers' wire format.
//!
//! Field numbers are those of ONNX's published schema (IR version 8). A writer of four wire forms is smaller than a
//! generated one and needs no compiler for it at build time; that readers accept it is tested with ONNX's own checker.

/// Element types, as `TensorProto.DataType` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// IEEE 754, 32 bits.
    Float = 1,
    /// Signed, 64 bits.
    Int64 = 7,
    /// One byte each.
    Bool = 9,
}

/// A length of a tensor: known, or named because it differs from call to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Always the same.
    Fixed(usize),
    /// The same for all tensors that name it.
    Named(&'static str),
}

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A number: `int32`, `int64`, `enum`.
    pub(super) fn number(mut self, field: u32, value: i64) -> Self {
        self.key(field, 0);
        self.varint(value as u64);
        self
    }

    /// Bytes with their length before them: `string`, `bytes`, packed numbers.
    pub(super) fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A text.
    pub(super) fn text(self, field: u32, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// A message within.
    pub(super) fn message(self, field: u32, inner: &Message) -> Self {
        self.bytes(field, &inner.0)
    }

    /// Each of several messages under the same number.
    pub(super) fn messages(self, field: u32, inner: &[Message]) -> Self {
        inner.iter().fold(self, |message, inner| message.message(field, inner))
    }

    /// The encoded message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u32, wire_type: u64) {
        self.varint(u64::from(field) << 3 | wire_type);
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// `TensorProto`: a constant, row-major.
pub(super) fn tensor(name: &str, element: Element, shape: &[usize], little_endian: &[u8]) -> Message {
    let sized = shape.iter().fold(Message::default(), |message, &length| message.number(1, length as i64));
    sized.number(2, element as i64).text(8, name).bytes(9, little_endian)
}

/// `ValueInfoProto`: the name, type and shape of an input or output.
pub(super) fn value(name: &str, about: &str, element: Element, shape: &[Length]) -> Message {
    let dimensions: Vec<Message> = shape
        .iter()
        .map(|length| match *length {
            Length::Fixed(length) => Message::default().number(1, length as i64),
            Length::Named(name) => Message::default().text(2, name),
        })
        .collect();
    let shape = Message::default().messages(1, &dimensions);
    let tensor_type = Message::default().number(1, element as i64).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor_type)).text(3, about)
}

/// `AttributeProto` with a number.
pub(super) fn attribute(name: &str, value: i64) -> Message {
    const INT: i64 = 2;
    Message::default().text(1, name).number(3, value).number(20, INT)
}

/// `AttributeProto` with a list of numbers.
pub(super) fn attribute_list(name: &str, values: &[i64]) -> Message {
    const INTS: i64 = 7;
    let named = Message::default().text(1, name);
    values.iter().fold(named, |message, &value| message.number(8, value)).number(20, INTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_encoded_as_protocol_buffers_says() {
        // The examples of the encoding's own documentation.
        assert_eq!(Message::default().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").into_bytes(), *b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Message::default().number(1, -2).into_bytes(), minus_two);
    }
}
