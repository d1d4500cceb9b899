//! Why a learned policy decides as it does, and what differing from a rule is worth to it.
//!
//! [`moment`] is one decision with all its candidates; [`attribution`] shares out what the network makes of each among
//! the features that it sees. [`act`] puts decisions into words, [`difference`] says in what two of them differ, and
//! [`gain`] measures on the true future what came of differing.

pub mod act;
pub mod attribution;
pub mod difference;
pub mod gain;
pub mod moment;
