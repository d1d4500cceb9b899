//! Integration tests: published references, golden files, and the command driven as a process.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

mod allocate;
mod bad_input;
mod batch_chain;
mod batch_queue;
mod bench;
mod catalog;
mod checkpoints;
mod command;
mod corpus;
mod dynamic_batcher;
mod explain;
mod gateway;
mod gavel;
mod golden;
mod kubernetes;
mod layers;
mod onnx;
mod packing;
mod readers;
mod results;
mod serve;
mod serving_oracle;
mod slurm;
mod support;
