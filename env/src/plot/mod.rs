//! Pictures of numbers: histograms as text, figures with axes as SVG.

mod axis;
mod figure;
mod forest;
mod histogram;
mod text;

pub use axis::{Axis, short};
pub use figure::{Content, Curve, Panel, figure};
pub use forest::{Interval, forest};
pub use histogram::{Histogram, decades, even};
pub use text::{Bar, bars};
