//! The spellings of Slurm's JSON. A number is plain in openapi v0.0.38 and `{"set", "infinite", "number"}` since v0.0.39;
//! a state is a word in one and a list of words in the other; what is absent may be null, empty or missing.

use serde::Deserialize;

use super::error::SlurmError;

/// A number that may not be set, or be without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "RawCount")]
pub(super) struct Count(Option<f64>);

impl Count {
    /// The number; `None` where it is not set or infinite.
    pub(super) fn get(self) -> Option<u64> {
        // The cast saturates; what is negative is not set either.
        self.0.filter(|number| *number >= 0.0).map(|number| number as u64)
    }

    /// The number, 0 where there is none.
    pub(super) fn or_zero(self) -> u64 {
        self.get().unwrap_or(0)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawCount {
    Plain(f64),
    Framed {
        #[serde(default)]
        set: bool,
        #[serde(default)]
        infinite: bool,
        #[serde(default)]
        number: Option<f64>,
    },
    Text(String),
    Absent(()),
}

impl From<RawCount> for Count {
    fn from(raw: RawCount) -> Count {
        Count(match raw {
            RawCount::Plain(number) => Some(number),
            RawCount::Framed { set: true, infinite: false, number } => number,
            RawCount::Text(text) => text.trim().parse().ok(),
            RawCount::Framed { .. } | RawCount::Absent(()) => None,
        })
    }
}

/// A text, or a list of texts, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "RawWords")]
pub(super) struct Words(pub(super) Vec<String>);

impl Words {
    /// All in one, joined by commas.
    pub(super) fn joined(&self) -> String {
        self.0.join(",")
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawWords {
    One(String),
    Many(Vec<String>),
    Absent(()),
}

impl From<RawWords> for Words {
    fn from(raw: RawWords) -> Words {
        Words(match raw {
            RawWords::One(text) if text.is_empty() => Vec::new(),
            RawWords::One(text) => vec![text],
            RawWords::Many(texts) => texts,
            RawWords::Absent(()) => Vec::new(),
        })
    }
}

/// What an answer of `squeue --json`, `sinfo --json` or `scontrol show nodes --json` holds beside its list.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    errors: Vec<serde_json::Value>,
    jobs: Option<Vec<serde_json::Value>>,
    nodes: Option<Vec<serde_json::Value>>,
    /// Groups of nodes of one state: what `sinfo` gives since v0.0.39, without what each node has in use.
    sinfo: Option<serde_json::Value>,
}

/// A list of nodes, or the fact that this Slurm lists them elsewhere.
#[derive(Debug)]
pub(super) enum NodeList {
    /// One value a node.
    Nodes(Vec<serde_json::Value>),
    /// `scontrol show nodes --json` has them.
    Grouped,
}

impl Answer {
    /// The answer of a command. Slurm 22.05 exits with 0 and an empty list where it cannot reach its controller, and
    /// only `errors` tells: an answer with errors is none.
    pub(super) fn parse(command: &str, text: &str) -> Result<Answer, SlurmError> {
        let answer: Answer = serde_json::from_str(text)
            .map_err(|error| SlurmError::Json { command: command.into(), why: error.to_string() })?;
        match answer.errors.first() {
            None => Ok(answer),
            Some(error) => Err(SlurmError::Reported { command: command.into(), why: describe(error) }),
        }
    }

    /// Its jobs.
    pub(super) fn jobs(self, command: &str) -> Result<Vec<serde_json::Value>, SlurmError> {
        self.jobs.ok_or_else(|| SlurmError::Json { command: command.into(), why: "no key `jobs`".into() })
    }

    /// Its nodes.
    pub(super) fn nodes(self, command: &str) -> Result<NodeList, SlurmError> {
        match (self.nodes, self.sinfo) {
            (Some(nodes), _) => Ok(NodeList::Nodes(nodes)),
            (None, Some(_)) => Ok(NodeList::Grouped),
            (None, None) => {
                Err(SlurmError::Json { command: command.into(), why: "no key `nodes` or `sinfo`".into() })
            }
        }
    }
}

/// The words of an entry of `errors`.
fn describe(error: &serde_json::Value) -> String {
    let words = ["description", "error", "source"];
    let told: Vec<&str> =
        words.iter().filter_map(|key| error.get(key)?.as_str()).filter(|word| !word.is_empty()).collect();
    if told.is_empty() { error.to_string() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> Option<u64> {
        serde_json::from_str::<Count>(text).unwrap().get()
    }

    #[test]
    fn numbers_in_every_spelling() {
        assert_eq!(count("5"), Some(5));
        assert_eq!(count("4294901757"), Some(4_294_901_757));
        assert_eq!(count("null"), None);
        assert_eq!(count(r#"{"set": true, "infinite": false, "number": 7}"#), Some(7));
        assert_eq!(count(r#"{"set": true, "infinite": true, "number": 0}"#), None);
        assert_eq!(count(r#"{"set": false, "infinite": false, "number": 0}"#), None);
        assert_eq!(count("-2"), None);
        assert_eq!(count(r#""12""#), Some(12));
    }

    #[test]
    fn words_in_every_spelling() {
        let words = |text: &str| serde_json::from_str::<Words>(text).unwrap().joined();
        assert_eq!(words(r#""PENDING""#), "PENDING");
        assert_eq!(words(r#"["IDLE", "DRAIN"]"#), "IDLE,DRAIN");
        assert_eq!(words(r#""""#), "");
        assert_eq!(words("null"), "");
    }

    #[test]
    fn an_answer_with_errors_is_none() {
        let down = r#"{"errors": [{"description": "Failed while looking for jobs", "source": "slurm_load_jobs"}], "jobs": []}"#;
        let error = Answer::parse("squeue", down).unwrap_err().to_string();
        assert_eq!(error, "squeue: Failed while looking for jobs, slurm_load_jobs");
        assert!(Answer::parse("squeue", "slurm_load_jobs error").is_err());
        let nothing = Answer::parse("squeue", r#"{"errors": []}"#).unwrap();
        assert!(nothing.jobs("squeue").is_err());
        let grouped = Answer::parse("sinfo", r#"{"errors": [], "sinfo": []}"#).unwrap();
        assert!(matches!(grouped.nodes("sinfo"), Ok(NodeList::Grouped)));
    }
}
