//! A model, ready to run batches of every size that it takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{ModelProto, ValueInfoProto};
use tract_onnx::prelude::*;

use crate::guard::guard;
use crate::protocol::Signature;

/// The most numbers of a row: a request that is let in holds no more.
const MAX_ROW: usize = 1 << 22;

/// A network with one input and one output, both float32 with the batch in front.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    signature: Signature,
    /// By batch - 1: optimised for exactly that size.
    plans: Vec<Arc<TypedRunnableModel>>,
}

impl Model {
    /// Reads files, each a model under the name of its file.
    pub(crate) fn load_all(paths: &[PathBuf], max_batch: u32) -> Result<Vec<Model>> {
        let mut models: Vec<Model> = Vec::with_capacity(paths.len());
        for path in paths {
            let model = Model::load(path, max_batch)?;
            let name = &model.name;
            let twice = models.iter().any(|other| other.name == *name);
            ensure!(!twice, "{}: there is a model {name:?} already; rename the file", path.display());
            models.push(model);
        }
        Ok(models)
    }

    /// Reads a file and prepares batches of 1 to `max_batch`; each is run once, so that the first request is not slower
    /// than others.
    pub(crate) fn load(path: &Path, max_batch: u32) -> Result<Model> {
        let shown = path.display();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let name = name.with_context(|| {
            format!("{shown}: a model is called as its file, which has no readable name; rename it")
        })?;
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown} as an ONNX file"))?;
        let proto = ModelProto::decode(&*bytes).map_err(|error| {
            anyhow!("{shown} is no ONNX file, or a damaged one; export it again ({error})")
        })?;
        let signature = signature(name, max_batch, &proto).with_context(|| shown.to_string())?;
        let mut model = Model { name: name.to_owned(), signature, plans: Vec::new() };
        for batch in 1..=max_batch as usize {
            model.prepare(&proto, batch).with_context(|| {
                format!(
                    "{shown}: the runtime cannot run it in batches of {batch}; export it with an open batch and \
                     common operators, say of opset 13"
                )
            })?;
        }
        Ok(model)
    }

    /// Optimises for batches of the next size, and runs one.
    fn prepare(&mut self, proto: &ModelProto, batch: usize) -> Result<()> {
        let plan = guard(|| plan(proto, &self.signature, batch))?;
        self.plans.push(plan);
        let output = self.run(&vec![0.0; batch * self.signature.input_row()], batch)?;
        let (given, wanted) = (output.len(), batch * self.signature.output_row());
        ensure!(given == wanted, "it gives {given} numbers, and says that it gives {wanted}");
        Ok(())
    }

    /// What it takes and gives.
    pub(crate) fn signature(&self) -> Signature {
        self.signature.clone()
    }

    /// Answers a batch: `input` is (batch, row) and so is what comes back.
    pub(crate) fn run(&self, input: &[f32], batch: usize) -> Result<Vec<f32>> {
        let plan = self.plans.get(batch.wrapping_sub(1)).context("the batch is too large")?;
        let shape: Vec<usize> =
            std::iter::once(batch).chain(self.signature.input_shape.iter().copied()).collect();
        guard(|| {
            let tensor = Tensor::from_shape(&shape, input)?;
            let output = plan.run(tvec![tensor.into()])?;
            let output = output.first().context("the network gives nothing")?.clone().into_tensor();
            Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect())
        })
    }
}

fn plan(proto: &ModelProto, signature: &Signature, batch: usize) -> Result<Arc<TypedRunnableModel>> {
    let shape: Vec<usize> = std::iter::once(batch).chain(signature.input_shape.iter().copied()).collect();
    let model = onnx().model_for_proto_model(proto)?;
    model.with_input_fact(0, f32::fact(shape).into())?.into_optimized()?.into_runnable()
}

/// What the graph says of its input and output.
fn signature(name: &str, max_batch: u32, proto: &ModelProto) -> Result<Signature> {
    let graph = proto.graph.as_ref().context("there is no graph in it; is it an ONNX file?")?;
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(|input| !is_weight(&input.name)).collect();
    let outputs: Vec<&ValueInfoProto> = graph.output.iter().collect();
    let (input, output) = (only("input", &inputs)?, only("output", &outputs)?);
    Ok(Signature {
        model: name.to_owned(),
        max_batch,
        input: input.name.clone(),
        input_shape: row_shape(input)?,
        output: output.name.clone(),
        output_shape: row_shape(output)?,
    })
}

/// The only one of a kind.
fn only<'a>(what: &str, values: &[&'a ValueInfoProto]) -> Result<&'a ValueInfoProto> {
    if let [value] = values {
        return Ok(value);
    }
    let names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
    bail!("it has {} {what}s ({}), and one is served: export it with one", names.len(), names.join(", "))
}

/// The shape of a row: all dimensions but that of the batch.
fn row_shape(value: &ValueInfoProto) -> Result<Vec<usize>> {
    let name = &value.name;
    let Some(Value::TensorType(tensor)) = value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        bail!("{name:?} is no tensor: export the model with tensors of float32")
    };
    if tensor.elem_type != DataType::Float as i32 {
        let kind = DataType::try_from(tensor.elem_type);
        let kind = kind.map_or_else(|_| format!("type {}", tensor.elem_type), |kind| format!("{kind:?}"));
        bail!("{name:?} is of {kind}, and float32 is served: export the model with that");
    }
    let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice()).unwrap_or_default();
    ensure!(!dims.is_empty(), "{name:?} has no dimension for the batch: export the model with one in front");
    let mut row = 1_usize;
    let mut shape = Vec::with_capacity(dims.len() - 1);
    for (at, dim) in dims.iter().enumerate().skip(1) {
        let Some(Size::DimValue(size @ 1..)) = dim.value else {
            bail!(
                "dimension {at} of {name:?} has no size, and only the first, the batch, may be without one: \
                 export the model with fixed sizes"
            )
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        row = row.saturating_mul(size);
        ensure!(row <= MAX_ROW, "a row of {name:?} has more than {MAX_ROW} numbers, the most that is served");
        shape.push(size);
    }
    Ok(shape)
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;
