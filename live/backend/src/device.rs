//! The device: one thread that runs one batch after the other, as an accelerator does.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::{mpsc, oneshot};

use crate::runtime::Model;

/// How fast the device is, in terms of the processor that it runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    /// Each batch is run so often.
    pub(crate) repeat: u32,
    /// No batch is answered sooner than after this, in seconds.
    pub(crate) pace_s: f64,
    /// And this for each row, in seconds.
    pub(crate) pace_row_s: f64,
}

/// A batch that waits for the device.
struct Task {
    model: usize,
    batch: usize,
    /// (batch, row)
    input: Vec<f32>,
    answer: oneshot::Sender<Result<Vec<f32>>>,
}

/// A handle to the thread.
#[derive(Clone)]
pub(crate) struct Device(mpsc::UnboundedSender<Task>);

impl Device {
    /// Starts the thread.
    pub(crate) fn start(models: Vec<Model>, speed: Speed) -> Result<Device> {
        let (sender, mut tasks) = mpsc::unbounded_channel::<Task>();
        let work = move || {
            while let Some(task) = tasks.blocking_recv() {
                let output = run(&models[task.model], &task, speed);
                // Nobody may wait for the answer any more.
                let _ = task.answer.send(output);
            }
        };
        std::thread::Builder::new().name("device".into()).spawn(work).context("no thread for the device")?;
        Ok(Device(sender))
    }

    /// Answers a batch when its turn has come: (batch, row) in and out.
    pub(crate) async fn run(&self, model: usize, batch: usize, input: Vec<f32>) -> Result<Vec<f32>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Task { model, batch, input, answer }).ok().context("the device has stopped")?;
        answered.await.context("the device has stopped")?
    }
}

fn run(model: &Model, task: &Task, speed: Speed) -> Result<Vec<f32>> {
    let begin = Instant::now();
    for _ in 1..speed.repeat {
        model.run(&task.input, task.batch)?;
    }
    let output = model.run(&task.input, task.batch)?;
    let pace = Duration::from_secs_f64(speed.pace_s + speed.pace_row_s * task.batch as f64);
    std::thread::sleep(pace.saturating_sub(begin.elapsed()));
    Ok(output)
}
