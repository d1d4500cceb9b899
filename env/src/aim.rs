//! An objective as people write it: `slowdown(floor_s=600)`, `completion-time+60*energy`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::metrics::SLOWDOWN_FLOOR_S;
use crate::objective::{LATENCY, Objective};
use crate::rules::Prices;

/// What is as bad as a miss for work without a deadline, in seconds, unless told otherwise.
const SCALE_S: f64 = 3600.0;

const NAMES: &str = "completion-time, slowdown, misses, shared, energy and cost";

/// What is to be made small: an objective, and what energy and money count besides, in its unit.
///
/// Written as terms joined by `+`. The first is the objective: `completion-time`, `slowdown(floor_s=10)`,
/// `misses(latency=0.05)`, `shared(latency=0.05,scale_s=3600)`, `energy` or `cost`; numbers that are left out are those. Others
/// are `energy` and `cost` with a factor: `completion-time+600*energy` holds a kilowatt-hour to be worth ten minutes of
/// a job, `energy+0.5*cost` a dollar half a kilowatt-hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// The objective.
    pub objective: Objective,
    /// What energy and money count besides.
    pub prices: Prices,
}

/// A text that is no objective.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("objective {text:?}: {why}")]
pub struct AimError {
    text: String,
    why: String,
}

impl FromStr for Aim {
    type Err = AimError;

    fn from_str(text: &str) -> Result<Aim, AimError> {
        let fail = |why: String| AimError { text: text.to_owned(), why };
        let mut terms = text.split('+').map(str::trim);
        let first = terms.next().unwrap_or_default();
        if first.contains('*') {
            return Err(fail(format!(
                "{first:?} comes first and has no factor: it is the unit that the others count in"
            )));
        }
        let objective = objective(first).map_err(fail)?;
        let mut prices = Prices::default();
        for term in terms {
            let (factor, name) = term.split_once('*').unwrap_or(("1", term));
            let factor =
                factor.trim().parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
            let factor =
                factor.ok_or_else(|| fail(format!("{term:?} needs a factor above 0, as in 600*energy")))?;
            let price = match name.trim() {
                "energy" => &mut prices.kwh,
                "cost" => &mut prices.dollar,
                other => {
                    let why = format!(
                        "{other:?} cannot be added, only energy and cost can; one other may stand first"
                    );
                    return Err(fail(why));
                }
            };
            let own = objective.prices();
            let first_too =
                (name.trim() == "energy" && own.kwh > 0.0) || (name.trim() == "cost" && own.dollar > 0.0);
            if first_too || std::mem::replace(price, factor) > 0.0 {
                return Err(fail(format!("{} is there twice", name.trim())));
            }
        }
        Ok(Aim { objective, prices })
    }
}

/// The first term.
fn objective(term: &str) -> Result<Objective, String> {
    let (name, numbers) = match term.split_once('(') {
        Some((name, rest)) => {
            let inner = rest.strip_suffix(')').ok_or("the closing parenthesis is missing")?;
            (name.trim(), inner)
        }
        None => (term, ""),
    };
    let mut left: Vec<(&str, f64)> = Vec::new();
    for pair in numbers.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("write name=value in place of {pair:?}"))?;
        let value = value.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
        left.push((key.trim(), value.ok_or_else(|| format!("{pair:?} needs a number from 0 on"))?));
    }
    let mut take = |key: &str, usual: f64| {
        let at = left.iter().position(|(own, _)| *own == key);
        at.map_or(usual, |at| left.remove(at).1)
    };
    let found = match name {
        "completion-time" => Objective::CompletionTime,
        "slowdown" => Objective::Slowdown { floor_s: take("floor_s", SLOWDOWN_FLOOR_S) },
        "misses" => Objective::Misses { latency: take("latency", LATENCY) },
        "shared" => {
            Objective::Shared { latency: take("latency", LATENCY), scale_s: take("scale_s", SCALE_S) }
        }
        "energy" => Objective::Energy,
        "cost" => Objective::Cost,
        other => return Err(format!("there is no objective {other:?}, there are {NAMES}")),
    };
    match left.first() {
        Some((key, _)) => Err(format!("{name} has no number {key:?}")),
        None if matches!(found, Objective::Shared { scale_s, .. } if scale_s <= 0.0) => {
            Err("scale_s must be above 0".to_owned())
        }
        None => Ok(found),
    }
}

impl Aim {
    /// Its name in tables: without the numbers of the objective itself.
    pub fn name(&self) -> String {
        let Prices { kwh, dollar } = self.prices;
        let priced = [("energy", kwh), ("cost", dollar)].into_iter().filter(|(_, price)| *price > 0.0);
        let added: String = priced.map(|(name, price)| format!("+{price}*{name}")).collect();
        format!("{}{added}", self.objective.name())
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let (own, added) = name.split_at(self.objective.name().len());
        f.write_str(own)?;
        match self.objective {
            Objective::Slowdown { floor_s } => write!(f, "(floor_s={floor_s})")?,
            Objective::Misses { latency } => write!(f, "(latency={latency})")?,
            Objective::Shared { latency, scale_s } => write!(f, "(latency={latency},scale_s={scale_s})")?,
            Objective::CompletionTime | Objective::Energy | Objective::Cost => {}
        }
        f.write_str(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for (text, objective, [kwh, dollar]) in [
            ("completion-time", Objective::CompletionTime, [0.0, 0.0]),
            ("completion-time+600*energy", Objective::CompletionTime, [600.0, 0.0]),
            ("slowdown(floor_s=600)+0.5*cost", Objective::Slowdown { floor_s: 600.0 }, [0.0, 0.5]),
            ("misses(latency=0)+2*energy+3*cost", Objective::Misses { latency: 0.0 }, [2.0, 3.0]),
            ("energy+0.5*cost", Objective::Energy, [0.0, 0.5]),
            ("cost", Objective::Cost, [0.0, 0.0]),
            ("shared(latency=0.1,scale_s=60)", Objective::Shared { latency: 0.1, scale_s: 60.0 }, [0.0, 0.0]),
        ] {
            let aim: Aim = text.parse().unwrap();
            assert_eq!(aim, Aim { objective, prices: Prices { kwh, dollar } });
            assert_eq!(aim.to_string(), text);
        }
        assert_eq!(" misses + energy ".parse::<Aim>().unwrap().to_string(), "misses(latency=0.05)+1*energy");
    }

    #[test]
    fn what_is_no_objective_is_refused_by_name() {
        let error = |text: &str| text.parse::<Aim>().unwrap_err().to_string();
        assert!(error("speed").contains("there is no objective \"speed\", there are completion-time"));
        assert!(error("2*energy").contains("comes first and has no factor"));
        assert!(error("completion-time+misses").contains("\"misses\" cannot be added"));
        assert!(error("completion-time+x*energy").contains("needs a factor above 0"));
        assert!(error("misses+0*cost").contains("needs a factor above 0"));
        assert!(error("misses+1*cost+2*cost").contains("cost is there twice"));
        assert!(error("energy+2*energy").contains("energy is there twice"));
        assert!(error("slowdown(latency=1)").contains("slowdown has no number \"latency\""));
        assert!(error("slowdown(floor_s=-1)").contains("needs a number from 0 on"));
        assert!(error("slowdown(floor_s=1").contains("parenthesis"));
        assert!(error("shared(scale_s=0)").contains("must be above 0"));
        assert!(error("").contains("there is no objective \"\""));
    }
}
