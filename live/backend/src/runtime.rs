//! A model, ready to run batches of every size that it takes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::prelude::*;

use crate::protocol::Signature;

/// A network with one input and one output, both float32 with the batch in front.
pub(crate) struct Model {
    pub(crate) name: String,
    signature: Signature,
    /// By batch - 1: optimised for exactly that size.
    plans: Vec<Arc<TypedRunnableModel>>,
}

impl Model {
    /// Reads a file and prepares batches of 1 to `max_batch`; each is run once, so that the first request is not slower
    /// than others.
    pub(crate) fn load(path: &Path, max_batch: u32) -> Result<Model> {
        let shown = path.display().to_string();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let name =
            name.with_context(|| format!("{shown}: a model is called as its file, which has no name"))?;
        let proto = onnx().proto_model_for_path(path).with_context(|| format!("cannot read {shown}"))?;
        let signature = signature(name, max_batch, &proto).with_context(|| shown.clone())?;
        let plan = |batch: u32| plan(&proto, &signature, batch as usize);
        let plans: Result<_> = (1..=max_batch).map(plan).collect();
        let plans = plans.with_context(|| format!("{shown}: the runtime cannot run it"))?;
        let model = Model { name: name.to_owned(), signature, plans };
        for batch in 1..=max_batch as usize {
            model.run(&vec![0.0; batch * model.signature.input_row()], batch)?;
        }
        Ok(model)
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
        let tensor = Tensor::from_shape(&shape, input)?;
        let output = plan.run(tvec![tensor.into()])?;
        let output = output.first().context("the network gives nothing")?.clone().into_tensor();
        Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect())
    }
}

fn plan(proto: &ModelProto, signature: &Signature, batch: usize) -> Result<Arc<TypedRunnableModel>> {
    let shape: Vec<usize> = std::iter::once(batch).chain(signature.input_shape.iter().copied()).collect();
    let model = onnx().model_for_proto_model(proto)?;
    model.with_input_fact(0, f32::fact(&shape).into())?.into_optimized()?.into_runnable()
}

/// What the graph says of its input and output.
fn signature(name: &str, max_batch: u32, proto: &ModelProto) -> Result<Signature> {
    let graph = proto.graph.as_ref().context("there is no graph in it")?;
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let mut inputs = graph.input.iter().filter(|input| !is_weight(&input.name));
    let (Some(input), None) = (inputs.next(), inputs.next()) else { bail!("it must have one input") };
    let [output] = graph.output.as_slice() else { bail!("it must have one output") };
    let shape = |value: &tract_onnx::pb::ValueInfoProto| -> Result<Vec<usize>> {
        let Some(Value::TensorType(tensor)) = value.r#type.as_ref().and_then(|kind| kind.value.as_ref())
        else {
            bail!("{:?} has no tensor type", value.name)
        };
        ensure!(tensor.elem_type == 1, "{:?} is not float32", value.name);
        let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice()).unwrap_or_default();
        ensure!(!dims.is_empty(), "{:?} has no dimension for the batch", value.name);
        let size = |value: &Option<Size>| match value {
            Some(Size::DimValue(size)) if *size > 0 => Ok(*size as usize),
            _ => bail!("only the first dimension may be of any size"),
        };
        dims[1..].iter().map(|dim| size(&dim.value)).collect()
    };
    Ok(Signature {
        model: name.to_owned(),
        max_batch,
        input: input.name.clone(),
        input_shape: shape(input)?,
        output: output.name.clone(),
        output_shape: shape(output)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph;

    /// Row for row what a batch gives is what each row gives alone.
    #[test]
    fn a_batch_gives_what_its_rows_give() {
        for (name, bytes) in [("dense", graph::mlp(&[6, 16, 3], 5)), ("image", graph::conv(4, &[2, 3], 3, 5))]
        {
            let folder =
                std::env::temp_dir().join(format!("yardmaster-backend-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("net.onnx");
            std::fs::write(&path, bytes).unwrap();
            let model = Model::load(&path, 3).unwrap();
            std::fs::remove_dir_all(folder).unwrap();
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
}
