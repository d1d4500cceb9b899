//! Integration tests: published references, golden files, and the command driven as a process.

mod bad_input;
mod batch_queue;
mod command;
mod golden;
mod layers;
mod support;
