//! Measured speeds of models on devices, with their sources.
