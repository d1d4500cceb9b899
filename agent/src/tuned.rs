//! Files of tuned parameters: which values each rule plays with in a scenario.

use serde::{Deserialize, Serialize};
use yardmaster_env::spec::Scenario;

use crate::registry::{self, RegistryError};
use crate::stats::Estimate;

/// The files that come with the crate: name and text.
pub const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/tuned.rs"));

/// What `yardmaster tune` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// The scenario that was tuned on.
    pub scenario: String,
    /// Digest of what it says.
    pub digest: String,
    /// Validation episodes that values were chosen on; as many others confirmed them.
    pub episodes: u64,
    /// Which of them.
    pub seed: u64,
    /// What makes the file again.
    pub command: String,
    /// The rules.
    #[serde(default)]
    pub policies: Vec<TunedRule>,
}

/// A rule with its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedRule {
    /// As it is asked for.
    pub policy: String,
    /// As it plays.
    pub tuned: String,
    /// Combinations that were tried.
    pub tried: usize,
    /// Mean of the objective with the values of the name, on the episodes that confirm.
    pub before: Estimate,
    /// The same as it plays.
    pub after: Estimate,
    /// Mean after / mean before, paired.
    pub ratio: Estimate,
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TunedError {
    /// Not such a file.
    #[error("{file} is no file of tuned parameters: {why}")]
    Syntax {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A rule or parameter that there is not.
    #[error("{file}: {why}; tune again with this version")]
    Registry {
        /// The file.
        file: String,
        /// What is wrong.
        why: RegistryError,
    },
    /// A rule stands for another.
    #[error("{file}: {tuned} is another policy than {policy}; only parameters may differ")]
    OtherPolicy {
        /// The file.
        file: String,
        /// As it is asked for.
        policy: String,
        /// As it should play.
        tuned: String,
    },
    /// It was made for something else.
    #[error(
        "{file} was tuned on scenario {tuned_on} (digest {tuned_digest}), not on {scenario} (digest {digest}): \
         tune again with `yardmaster tune --scenario {scenario} --out FILE.toml`, or leave it out with `--tuned none`"
    )]
    OtherScenario {
        /// The file.
        file: String,
        /// The scenario in it.
        tuned_on: String,
        /// The digest in it.
        tuned_digest: String,
        /// The scenario that was asked for.
        scenario: String,
        /// Its digest.
        digest: String,
    },
}

impl Tuned {
    /// Reads a file; `file` is its name in errors. Every rule in it can be built.
    pub fn parse(text: &str, file: &str) -> Result<Tuned, TunedError> {
        let tuned: Tuned = toml::from_str(text)
            .map_err(|why| TunedError::Syntax { file: file.to_owned(), why: why.to_string() })?;
        for rule in &tuned.policies {
            let parts = |name: &str| -> Result<Vec<String>, TunedError> {
                let parts = registry::parameters(name);
                let parts = parts.map_err(|why| TunedError::Registry { file: file.to_owned(), why })?;
                Ok(parts.into_iter().map(|(rule, _)| rule).collect())
            };
            if parts(&rule.policy)? != parts(&rule.tuned)? {
                let (policy, tuned) = (rule.policy.clone(), rule.tuned.clone());
                return Err(TunedError::OtherPolicy { file: file.to_owned(), policy, tuned });
            }
        }
        Ok(tuned)
    }

    /// Whether it was made for a scenario that says the same, or for one that this is a larger or smaller edition of.
    pub fn is_for(&self, scenario: &Scenario) -> bool {
        self.digest == scenario.digest() || scenario.scaled_from() == Some(&self.digest)
    }

    /// Refuses another scenario than the one it was made for.
    pub fn check(&self, file: &str, scenario: &Scenario) -> Result<(), TunedError> {
        if self.is_for(scenario) {
            return Ok(());
        }
        Err(TunedError::OtherScenario {
            file: file.to_owned(),
            tuned_on: self.scenario.clone(),
            tuned_digest: self.digest.clone(),
            scenario: scenario.spec().name.clone(),
            digest: scenario.digest(),
        })
    }

    /// The rule that was best, with its values.
    pub fn best(&self) -> Option<&str> {
        let best = self.policies.iter().min_by(|one, other| one.after.value.total_cmp(&other.after.value));
        best.map(|rule| rule.tuned.as_str())
    }

    /// As which name a policy plays; `None` if it was not tuned, or nothing was better than what it is.
    pub fn plays_as(&self, policy: &str) -> Option<&str> {
        let rule = self.policies.iter().find(|rule| rule.policy == policy)?;
        Some(rule.tuned.as_str()).filter(|tuned| *tuned != policy)
    }
}

/// The file that comes with the crate for a scenario that says the same.
///
/// # Errors
/// A file that names rules or parameters which there are not any more.
pub fn embedded(scenario: &Scenario) -> Result<Option<Tuned>, TunedError> {
    for (file, text) in EMBEDDED {
        let tuned = Tuned::parse(text, file)?;
        if tuned.is_for(scenario) {
            return Ok(Some(tuned));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use yardmaster_env::spec::builtin;

    use super::*;

    #[test]
    fn every_file_that_comes_along_is_for_the_scenario_it_names() {
        for (file, text) in EMBEDDED {
            let tuned = Tuned::parse(text, file).unwrap();
            assert_eq!(*file, format!("{}.toml", tuned.scenario));
            let scenario = builtin(&tuned.scenario).unwrap();
            tuned.check(file, &scenario).unwrap_or_else(|error| panic!("{error}; or `make tune`"));
            assert_eq!(embedded(&scenario).unwrap(), Some(tuned));
        }
    }

    fn file(policy: &str, tuned: &str, digest: &str) -> String {
        let value = "{ value = 1.0, ci95 = [0.5, 1.5] }";
        format!(
            "scenario = \"tiny\"\ndigest = \"{digest}\"\nepisodes = 2\nseed = 1\ncommand = \"c\"\n[[policies]]\n\
             policy = \"{policy}\"\ntuned = \"{tuned}\"\ntried = 3\nbefore = {value}\nafter = {value}\nratio = {value}\n"
        )
    }

    #[test]
    fn the_best_rule_has_the_lowest_mean() {
        for (name, best) in [("sweeps", "price"), ("serving-burst", "tardiness")] {
            let tuned = embedded(&builtin(name).unwrap()).unwrap().unwrap();
            let found = tuned.best().unwrap();
            assert!(found.contains(best), "{name}: {found}");
            let mean = |rule: &TunedRule| rule.after.value;
            let own = tuned.policies.iter().find(|rule| rule.tuned == found).unwrap();
            assert!(tuned.policies.iter().all(|rule| mean(rule) >= mean(own)));
        }
    }

    fn error(text: &str) -> String {
        Tuned::parse(text, "t.toml").unwrap_err().to_string()
    }

    #[test]
    fn a_file_says_as_what_a_rule_plays() {
        let tiny = builtin("tiny").unwrap();
        let tuned =
            Tuned::parse(&file("mct+timeout", "mct+timeout(ms=3)", &tiny.digest()), "t.toml").unwrap();
        assert!(tuned.check("t.toml", &tiny).is_ok());
        assert_eq!(tuned.plays_as("mct+timeout"), Some("mct+timeout(ms=3)"));
        assert_eq!(tuned.plays_as("mct"), None);
        let other = tuned.check("t.toml", &builtin("gang").unwrap()).unwrap_err().to_string();
        assert!(other.starts_with("t.toml was tuned on scenario tiny (digest "), "{other}");
        assert!(
            other.contains("not on gang")
                && other.contains("yardmaster tune --scenario gang --out FILE.toml"),
            "{other}"
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(error("scenario = 3").starts_with("t.toml is no file of tuned parameters: "));
        assert!(error(&file("mct+timeuot", "mct", "d")).contains("did you mean timeout"));
        assert!(error(&file("timeout", "timeout(s=3)", "d")).contains("there is no parameter \"s\""));
        assert!(
            error(&file("mct+timeout", "eft+timeout(ms=3)", "d"))
                .contains("is another policy than mct+timeout")
        );
    }
}
