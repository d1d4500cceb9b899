//! The part of the Open Inference Protocol v2 that a model of one float32 input and output needs, in JSON.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a model takes and gives; shapes are those of one row.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) model: String,
    pub(crate) max_batch: u32,
    pub(crate) input: String,
    pub(crate) input_shape: Vec<usize>,
    pub(crate) output: String,
    pub(crate) output_shape: Vec<usize>,
}

impl Signature {
    /// Numbers in a row of the input.
    pub(crate) fn input_row(&self) -> usize {
        self.input_shape.iter().product()
    }

    /// Numbers in a row of the output.
    pub(crate) fn output_row(&self) -> usize {
        self.output_shape.iter().product()
    }

    /// The answer to a question for metadata.
    pub(crate) fn metadata(&self) -> Value {
        let tensor = |name: &str, row: &[usize]| {
            let shape: Vec<i64> = std::iter::once(-1).chain(row.iter().map(|&size| size as i64)).collect();
            json!({ "name": name, "datatype": "FP32", "shape": shape })
        };
        json!({
            "name": self.model,
            "versions": ["1"],
            "platform": "onnx",
            "inputs": [tensor(&self.input, &self.input_shape)],
            "outputs": [tensor(&self.output, &self.output_shape)],
        })
    }

    /// The batch of a request: how many rows, and their numbers.
    pub(crate) fn batch(&self, request: &Request) -> Result<(usize, Vec<f32>)> {
        let [input] = request.inputs.as_slice() else {
            bail!("{} inputs given, {} takes one, {:?}", request.inputs.len(), self.model, self.input)
        };
        ensure!(input.name == self.input, "input {:?} is not {:?}", input.name, self.input);
        ensure!(input.datatype == "FP32", "input {:?} is {}, not FP32", input.name, input.datatype);
        let (batch, row) = input.shape.split_first().context("the shape is empty")?;
        ensure!(*row == self.input_shape, "rows have the shape {row:?}, not {:?}", self.input_shape);
        ensure!(*batch > 0, "the batch is empty");
        ensure!(*batch <= self.max_batch as usize, "a batch of {batch} is larger than {}", self.max_batch);
        let mut numbers = Vec::with_capacity(batch * self.input_row());
        flatten(&input.data, &mut numbers)?;
        let wanted = batch * self.input_row();
        ensure!(numbers.len() == wanted, "{} numbers given, the shape needs {wanted}", numbers.len());
        Ok((*batch, numbers))
    }

    /// The answer to a request: `data` is (batch, row).
    pub(crate) fn answer(&self, id: Option<String>, batch: usize, data: Vec<f32>) -> Answer {
        let shape = std::iter::once(batch).chain(self.output_shape.iter().copied()).collect();
        let output = Output { name: self.output.clone(), shape, datatype: "FP32", data };
        Answer { model_name: self.model.clone(), model_version: "1", id, outputs: vec![output] }
    }
}

/// A request for inference.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: Option<String>,
    inputs: Vec<Input>,
}

#[derive(Debug, Deserialize)]
struct Input {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    data: Value,
}

/// The answer to it.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    model_name: String,
    model_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: Vec<Output>,
}

#[derive(Debug, Serialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    datatype: &'static str,
    data: Vec<f32>,
}

/// Numbers in row-major order, nested or not.
fn flatten(data: &Value, numbers: &mut Vec<f32>) -> Result<()> {
    match data {
        Value::Number(number) => {
            let single = number.as_f64().map(|double| double as f32).filter(|single| single.is_finite());
            numbers.push(single.with_context(|| format!("{number} is beyond float32"))?);
        }
        Value::Array(rows) => rows.iter().try_for_each(|row| flatten(row, numbers))?,
        other => bail!("{other} is not a number"),
    }
    Ok(())
}
