//! Decisions as optimisation: linear programmes, and what is built on them.
//!
//! Programmes are put to good_lp and its pure-Rust solvers, so that the command builds with nothing but Rust. The
//! simplex method (microlp) answers with a vertex of the set of optima, which is what a person expects of an
//! allocation; the interior-point method (clarabel) with a point from the middle of it, which is what Gavel's
//! published shares come from.

pub mod allocation;
pub mod exact;
pub mod genetic;
pub mod programme;
pub mod shares;
