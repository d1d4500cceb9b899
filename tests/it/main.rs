//! Integration tests: published references, golden files, and the command driven as a process.

mod batch_queue;
mod gavel;
mod support;
