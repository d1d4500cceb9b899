//! The numbers of a look-ahead, as its name gives them.

use std::time::Duration;

use crate::registry::{self, RegistryError};

/// How far a look-ahead looks. In a name: `search(base=mct,candidates=10,futures=32,horizon=40)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The rule that decides unless something better is found, and all that follows in the futures.
    pub base: String,
    /// Decisions that are tried at most, that of the base included.
    pub candidates: usize,
    /// Futures that the last of them are tried on.
    pub futures: usize,
    /// Arrivals in each future, which then goes on until all is done. Unless it is given, there are 40, or for whoever
    /// knows the future all.
    pub horizon: Option<usize>,
    /// Another decision than the base's is taken if it is better by so many standard errors.
    pub caution: f64,
    /// No new future is begun after so many milliseconds of a decision; 0 sets no limit. With a limit, decisions depend
    /// on the speed of the machine.
    pub ms: f64,
    /// Whether the true future is looked at instead, which nobody can know.
    pub clairvoyant: bool,
}

/// Arrivals in an imagined future, unless it is said how many.
const HORIZON: usize = 40;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            base: "mct".to_owned(),
            candidates: 10,
            futures: 32,
            horizon: None,
            caution: 2.5,
            ms: 0.0,
            clairvoyant: false,
        }
    }
}

/// One line on what it does, for lists.
pub const ABOUT: &str =
    "look-ahead: tries decisions on imagined futures in which a rule goes on: search(base=mct,...)";

/// Parameters with what they are, for messages.
const PARAMETERS: &str = "base=RULE (default mct), candidates (10), futures (32), \
                          horizon in arrivals (40, or all with clairvoyant=1), \
                          caution in standard errors (2.5), ms a decision (0: no limit), clairvoyant (0 or 1)";

impl Settings {
    /// Those of a name; `None` if it names no look-ahead.
    ///
    /// # Errors
    /// A parameter that there is not, a value out of its range, a base that cannot be built.
    pub fn parse(name: &str) -> Result<Option<Settings>, RegistryError> {
        let name = name.trim();
        let mut settings = Settings::default();
        if name == "search" {
            return Ok(Some(settings));
        }
        let Some(inner) = name.strip_prefix("search(") else { return Ok(None) };
        let bad = |why: String| RegistryError::Parameter { part: name.to_owned(), why };
        let Some(inner) = inner.strip_suffix(')') else {
            return Err(
                bad("the closing parenthesis is missing; a search is a policy of its own".to_owned()),
            );
        };
        for pair in registry::split_list(inner) {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| bad(format!("write name=value in place of {pair:?}")))?;
            settings.set(key.trim(), value.trim()).map_err(bad)?;
        }
        if settings.base.starts_with("search") {
            return Err(bad("the base must be a rule".to_owned()));
        }
        registry::build(&settings.base)?;
        Ok(Some(settings))
    }

    /// The name that says all this; what is as by default is left out, the base apart.
    pub fn name(&self) -> String {
        let normal = Settings::default();
        let pairs = [
            ("candidates", self.candidates as f64, normal.candidates as f64),
            ("futures", self.futures as f64, normal.futures as f64),
            ("horizon", self.horizon.map_or(-1.0, |horizon| horizon as f64), -1.0),
            ("caution", self.caution, normal.caution),
            ("ms", self.ms, normal.ms),
            ("clairvoyant", f64::from(self.clairvoyant), 0.0),
        ];
        let others = pairs.iter().filter(|(_, value, normal)| value != normal);
        let others: String = others.map(|(key, value, _)| format!(",{key}={value}")).collect();
        format!("search(base={}{others})", self.base)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number = |low: f64, high: f64| {
            let parsed = value.parse().ok().filter(|number: &f64| (low..=high).contains(number));
            parsed.ok_or_else(|| format!("{key} is {value:?}, it must be a number from {low} to {high}"))
        };
        let whole = |low: f64, high: f64| {
            let number = number(low, high)?;
            if number.fract() == 0.0 {
                Ok(number as usize)
            } else {
                Err(format!("{key} is {value}, it must be a whole number"))
            }
        };
        match key {
            "base" => self.base = value.to_owned(),
            "candidates" => self.candidates = whole(2.0, 1000.0)?,
            "futures" => self.futures = whole(2.0, 10_000.0)?,
            "horizon" => self.horizon = Some(whole(0.0, 100_000.0)?),
            "caution" => self.caution = number(0.0, 100.0)?,
            "ms" => self.ms = number(0.0, 3_600_000.0)?,
            "clairvoyant" => self.clairvoyant = whole(0.0, 1.0)? == 1,
            _ => return Err(format!("there is no parameter {key:?}, valid are {PARAMETERS}")),
        }
        Ok(())
    }

    /// Arrivals that a future has.
    pub fn arrivals(&self) -> usize {
        self.horizon.unwrap_or(if self.clairvoyant { usize::MAX } else { HORIZON })
    }

    /// The most time that a decision may take.
    pub fn budget(&self) -> Option<Duration> {
        (self.ms > 0.0).then(|| Duration::from_secs_f64(self.ms / 1e3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str) -> String {
        match Settings::parse(name) {
            Ok(settings) => panic!("{name} was taken for {settings:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_are_read() {
        assert_eq!(Settings::parse("mct"), Ok(None));
        assert_eq!(Settings::parse("search"), Ok(Some(Settings::default())));
        let read = Settings::parse("search(base=mct+timeout(ms=2), futures=4,ms=1.5)").unwrap().unwrap();
        let expected =
            Settings { base: "mct+timeout(ms=2)".to_owned(), futures: 4, ms: 1.5, ..Settings::default() };
        assert_eq!(read, expected);
        assert_eq!(read.name(), "search(base=mct+timeout(ms=2),futures=4,ms=1.5)");
        assert_eq!(Settings::parse(&read.name()), Ok(Some(read)));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(error("search(base=mct").contains("closing parenthesis"));
        assert!(error("search(depth=3)").contains("there is no parameter \"depth\", valid are base=RULE"));
        assert!(error("search(futures=1)").contains("from 2 to"));
        assert!(error("search(futures=2.5)").contains("whole number"));
        assert!(error("search(base=search)").contains("must be a rule"));
        assert!(error("search(base=mtc)").contains("did you mean mct"));
        assert!(error("search(mct)").contains("name=value"));
    }
}
