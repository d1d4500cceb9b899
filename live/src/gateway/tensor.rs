//! Requests of the Open Inference Protocol v2 in JSON: read and checked one by one, joined into a batch, and the
//! batch's answer cut into theirs.
//!
//! Numbers stay the text that they came as, so that nothing is rounded on the way. What one caller gets wrong must not
//! reach the back end, where it would spoil the batch for the others: names, types, shapes, and that each number is one
//! of its type, are checked here.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A model's tensors, as its back ends describe them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ModelMeta {
    /// What it is called.
    pub name: String,
    /// What it takes.
    pub inputs: Vec<TensorMeta>,
    /// What it gives.
    pub outputs: Vec<TensorMeta>,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TensorMeta {
    /// What it is called.
    pub name: String,
    /// Type of its numbers.
    pub datatype: String,
    /// Its shape, with the batch in front, which is -1.
    pub shape: Vec<i64>,
}

impl TensorMeta {
    /// Numbers of one row; `None` where other dimensions than the first are open.
    fn row(&self) -> Option<usize> {
        let (batch, rest) = self.shape.split_first()?;
        let sizes = rest.iter().map(|&size| usize::try_from(size).ok());
        (*batch == -1).then_some(())?;
        sizes.product()
    }
}

impl ModelMeta {
    /// Whether batches can be formed of it.
    ///
    /// # Errors
    /// Tensors without a batch in front, with other open dimensions, or of bytes.
    pub fn check(&self) -> Result<(), String> {
        for tensor in self.inputs.iter().chain(&self.outputs) {
            let TensorMeta { name, datatype, shape } = tensor;
            if tensor.row().is_none() {
                return Err(format!(
                    "tensor {name:?} has the shape {shape:?}: only the first size may be -1"
                ));
            }
            if kind(datatype).is_none() {
                return Err(format!(
                    "tensor {name:?} is of {datatype}, which cannot be batched as JSON numbers"
                ));
            }
        }
        Ok(())
    }

    /// The answer to a question for metadata.
    pub fn json(&self) -> Value {
        let tensor = |of: &TensorMeta| json!({ "name": of.name, "datatype": of.datatype, "shape": of.shape });
        let all = |of: &[TensorMeta]| of.iter().map(tensor).collect::<Vec<_>>();
        json!({
            "name": self.name,
            "versions": ["1"],
            "platform": "yardmaster_gateway",
            "inputs": all(&self.inputs),
            "outputs": all(&self.outputs),
        })
    }
}

/// One row for a model, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What the caller calls it.
    pub id: Option<String>,
    /// From arrival to deadline, in milliseconds, if the request says.
    pub deadline_ms: Option<f64>,
    /// Numbers of each input, in the order of the model's, joined by commas.
    inputs: Vec<String>,
}

#[derive(Deserialize)]
struct RawRequest<'a> {
    id: Option<String>,
    #[serde(borrow)]
    inputs: Vec<RawTensor<'a>>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    deadline_ms: Option<f64>,
    binary_data_output: Option<bool>,
}

#[derive(Deserialize)]
struct RawTensor<'a> {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct RawAnswer<'a> {
    #[serde(borrow)]
    outputs: Vec<RawTensor<'a>>,
}

impl Row {
    /// A row of some numbers, to measure with.
    ///
    /// # Errors
    /// As [`ModelMeta::check`].
    pub fn example(meta: &ModelMeta) -> Result<Row, String> {
        meta.check()?;
        let number = |tensor: &TensorMeta| match tensor.datatype.as_str() {
            "BOOL" => "false",
            float if float.starts_with("FP") => "0.4375",
            _ => "1",
        };
        let input = |tensor: &TensorMeta| vec![number(tensor); tensor.row().unwrap_or_default()].join(",");
        Ok(Row { id: None, deadline_ms: None, inputs: meta.inputs.iter().map(input).collect() })
    }

    /// Reads a request with one row.
    ///
    /// # Errors
    /// What is wrong with it, for its caller.
    pub fn parse(body: &[u8], meta: &ModelMeta) -> Result<Row, String> {
        let raw: RawRequest<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if raw.parameters.binary_data_output == Some(true) {
            return Err("binary tensors are not supported: ask for JSON".to_owned());
        }
        if let Some(ms) = raw.parameters.deadline_ms.filter(|ms| !(*ms > 0.0 && ms.is_finite())) {
            return Err(format!("parameter deadline_ms is {ms}, it must be a number above 0"));
        }
        if raw.inputs.len() != meta.inputs.len() {
            let (given, wanted) = (raw.inputs.len(), meta.inputs.len());
            return Err(format!("{given} inputs given, {:?} takes {wanted}", meta.name));
        }
        let input = |wanted: &TensorMeta| {
            let named = raw.inputs.iter().find(|input| input.name == wanted.name);
            let given = named.ok_or_else(|| format!("there is no input {:?}", wanted.name))?;
            input(given, wanted).map_err(|why| format!("input {:?}: {why}", wanted.name))
        };
        let inputs = meta.inputs.iter().map(input).collect::<Result<_, _>>()?;
        Ok(Row { id: raw.id, deadline_ms: raw.parameters.deadline_ms, inputs })
    }
}

fn input(given: &RawTensor<'_>, wanted: &TensorMeta) -> Result<String, String> {
    if given.datatype != wanted.datatype {
        return Err(format!("the datatype is {}, not {}", given.datatype, wanted.datatype));
    }
    if given.shape.first().is_some_and(|&rows| rows != 1) {
        return Err(format!(
            "{} rows in one request: send each row by itself, batches are formed here",
            given.shape[0]
        ));
    }
    if given.shape.len() != wanted.shape.len() || given.shape[1..] != wanted.shape[1..] {
        return Err(format!("the shape is {:?}, not {:?} with 1 in front", given.shape, wanted.shape));
    }
    let (numbers, count) = flat(given.data.get())?;
    let row = wanted.row().unwrap_or_default();
    if count != row {
        return Err(format!("{count} numbers given, the shape needs {row}"));
    }
    let kind = kind(&wanted.datatype).ok_or("its datatype cannot be batched")?;
    match numbers.split(',').find(|number| !kind.holds(number)) {
        Some(wrong) => Err(format!("{wrong} is no {}", wanted.datatype)),
        None => Ok(numbers),
    }
}

/// The request of a batch.
pub fn join<'a>(meta: &ModelMeta, rows: impl ExactSizeIterator<Item = &'a Row> + Clone) -> String {
    let count = rows.len();
    let input = |(at, tensor): (usize, &TensorMeta)| {
        let numbers: Vec<&str> = rows.clone().map(|row| row.inputs[at].as_str()).collect();
        write_tensor(tensor, &shape(count, &tensor.shape), &numbers.join(","))
    };
    let inputs: Vec<String> = meta.inputs.iter().enumerate().map(input).collect();
    format!(r#"{{"inputs":[{}]}}"#, inputs.join(","))
}

/// The outputs of each row of a batch, each a JSON array of tensors.
///
/// # Errors
/// An answer that is not one to so many rows.
pub fn split(body: &[u8], meta: &ModelMeta, rows: usize) -> Result<Vec<String>, String> {
    let raw: RawAnswer<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut parts: Vec<Vec<String>> = vec![Vec::with_capacity(raw.outputs.len()); rows];
    for output in &raw.outputs {
        let RawTensor { name, shape: given, datatype, data } = output;
        if given.first() != Some(&(rows as i64)) {
            return Err(format!("output {name:?} has the shape {given:?} for {rows} rows"));
        }
        let (numbers, count) = flat(data.get()).map_err(|why| format!("output {name:?}: {why}"))?;
        if count == 0 || !count.is_multiple_of(rows) {
            return Err(format!("output {name:?} has {count} numbers for {rows} rows"));
        }
        let tensor = TensorMeta { name: name.clone(), datatype: datatype.clone(), shape: given.clone() };
        let numbers: Vec<&str> = numbers.split(',').collect();
        for (part, row) in parts.iter_mut().zip(numbers.chunks(count / rows)) {
            part.push(write_tensor(&tensor, &shape(1, given), &row.join(",")));
        }
    }
    if raw.outputs.len() != meta.outputs.len() {
        return Err(format!(
            "{} outputs came, {:?} has {}",
            raw.outputs.len(),
            meta.name,
            meta.outputs.len()
        ));
    }
    Ok(parts.into_iter().map(|outputs| format!("[{}]", outputs.join(","))).collect())
}

/// The answer to one caller; `outputs` is one of those that [`split`] gives.
pub fn answer(model: &str, id: Option<&str>, outputs: &str) -> String {
    let id = id.map_or_else(String::new, |id| format!(r#""id":{},"#, json!(id)));
    format!(r#"{{"model_name":{},"model_version":"1",{id}"outputs":{outputs}}}"#, json!(model))
}

fn shape(rows: usize, shape: &[i64]) -> Vec<i64> {
    std::iter::once(rows as i64).chain(shape.iter().skip(1).copied()).collect()
}

fn write_tensor(tensor: &TensorMeta, shape: &[i64], numbers: &str) -> String {
    let (name, datatype) = (json!(tensor.name), json!(tensor.datatype));
    format!(r#"{{"name":{name},"shape":{},"datatype":{datatype},"data":[{numbers}]}}"#, json!(shape))
}

/// Numbers of an array of JSON, nested or not, joined by commas, and how many.
fn flat(json: &str) -> Result<(String, usize), String> {
    let mut numbers = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '[' | ']' | ' ' | '\n' | '\r' | '\t' => {}
            '"' | '{' | '}' | ':' => return Err("the data are not an array of numbers".to_owned()),
            other => numbers.push(other),
        }
    }
    if numbers.is_empty() {
        return Ok((numbers, 0));
    }
    if numbers.split(',').any(str::is_empty) {
        return Err("the data have an empty array among others".to_owned());
    }
    let count = 1 + numbers.bytes().filter(|&byte| byte == b',').count();
    Ok((numbers, count))
}

/// What the numbers of a datatype are.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Float { most: f64 },
    Int { least: i128, most: i128 },
}

impl Kind {
    fn holds(self, text: &str) -> bool {
        match self {
            Kind::Bool => matches!(text, "true" | "false"),
            Kind::Float { most } => text.parse().is_ok_and(|value: f64| value.abs() <= most),
            Kind::Int { least, most } => {
                text.parse().is_ok_and(|value: i128| (least..=most).contains(&value))
            }
        }
    }
}

fn kind(datatype: &str) -> Option<Kind> {
    let int = |bits: u32| Kind::Int { least: -(1 << (bits - 1)), most: (1 << (bits - 1)) - 1 };
    let uint = |bits: u32| Kind::Int { least: 0, most: (1 << bits) - 1 };
    Some(match datatype {
        "BOOL" => Kind::Bool,
        "FP16" => Kind::Float { most: 65504.0 },
        "FP32" => Kind::Float { most: f64::from(f32::MAX) },
        "FP64" => Kind::Float { most: f64::MAX },
        "INT8" => int(8),
        "INT16" => int(16),
        "INT32" => int(32),
        "INT64" => int(64),
        "UINT8" => uint(8),
        "UINT16" => uint(16),
        "UINT32" => uint(32),
        "UINT64" => uint(64),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "tensor_tests.rs"]
mod tests;
