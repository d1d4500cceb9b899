//! `slurm.toml`: what the adapter has to know of a site. Every key has a default; an unknown one is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::units::KindId;

use super::error::SlurmError;

/// Which held jobs are the adapter's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// Those whose comment has the mark. Others are held for reasons of their own.
    #[default]
    Marked,
    /// All that their owner or a submit filter holds; those held by an administrator never.
    Held,
}

/// What becomes of one of our jobs that cannot be placed by us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Otherwise {
    /// It is released, so that Slurm places it.
    #[default]
    Release,
    /// It stays held, for a person to look at.
    Leave,
}

/// A site.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Which held jobs are the adapter's.
    pub take: Take,
    /// The word in a comment that makes a job ours.
    pub mark: String,
    /// What becomes of those that cannot be placed.
    pub otherwise: Otherwise,
    /// A job that was released for a place and has not started after so long is freed from the place.
    pub patience: Duration,
    /// The longest pause after failures to reach Slurm.
    pub longest_pause: Duration,
    /// So many failures of the policy in a row, and Slurm decides for a while.
    pub policy_failures: u32,
    /// For how long.
    pub policy_pause: Duration,
    /// How long a command of Slurm may take.
    pub command_limit: Duration,
    /// The priority of the first of several jobs that are started at once, each next one less by 1; `None` leaves
    /// priorities to Slurm.
    pub priority: Option<u32>,
    /// Slurm's types of GPUs as kinds of the catalogue.
    kinds: BTreeMap<String, KindId>,
    /// The kind of GPUs without a type, and of nodes that are not what they say, by node.
    nodes: BTreeMap<String, KindId>,
    /// Seconds by kind for jobs of a name.
    runtimes: Vec<Runtime>,
}

/// How long jobs of a name take.
#[derive(Clone, Debug, PartialEq)]
struct Runtime {
    /// The beginning of the name, or all of it.
    name: String,
    is_prefix: bool,
    seconds: Vec<(KindId, f64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    take: Take,
    mark: String,
    otherwise: Otherwise,
    patience_s: f64,
    longest_pause_s: f64,
    policy_failures: u32,
    policy_pause_s: f64,
    command_limit_s: f64,
    priority: Option<u32>,
    kinds: BTreeMap<String, String>,
    nodes: BTreeMap<String, String>,
    runtimes: Vec<RawRuntime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRuntime {
    name: String,
    seconds: BTreeMap<String, f64>,
}

impl Default for RawConfig {
    fn default() -> RawConfig {
        RawConfig {
            take: Take::default(),
            mark: "yardmaster".into(),
            otherwise: Otherwise::default(),
            patience_s: 60.0,
            longest_pause_s: 60.0,
            policy_failures: 3,
            policy_pause_s: 300.0,
            command_limit_s: 30.0,
            priority: None,
            kinds: BTreeMap::new(),
            nodes: BTreeMap::new(),
            runtimes: Vec::new(),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::of(RawConfig::default(), Catalog::builtin()).unwrap_or_else(|why| unreachable!("{why}"))
    }
}

impl Config {
    /// The configuration in a text; `path` is where it comes from.
    pub fn parse(text: &str, path: &Path, catalog: &Catalog) -> Result<Config, SlurmError> {
        let refused = |why| SlurmError::Config { path: path.to_owned(), why };
        let raw: RawConfig = toml::from_str(text).map_err(|error| refused(error.to_string()))?;
        Config::of(raw, catalog).map_err(refused)
    }

    fn of(raw: RawConfig, catalog: &Catalog) -> Result<Config, String> {
        if raw.mark.is_empty() || raw.mark.contains(|c: char| c.is_whitespace() || ":;,".contains(c)) {
            return Err(format!("mark = {:?}: a word without blanks and without :;,", raw.mark));
        }
        if raw.policy_failures == 0 {
            return Err("policy_failures = 0: at least 1".into());
        }
        let kinds = |table: &str, names: &BTreeMap<String, String>| {
            let kind = |(slurm, name): (&String, &String)| {
                Ok((slurm.clone(), kind(catalog, name).map_err(|why| format!("[{table}] {slurm}: {why}"))?))
            };
            names.iter().map(kind).collect::<Result<BTreeMap<_, _>, String>>()
        };
        Ok(Config {
            take: raw.take,
            otherwise: raw.otherwise,
            patience: seconds("patience_s", raw.patience_s)?,
            longest_pause: seconds("longest_pause_s", raw.longest_pause_s)?,
            policy_failures: raw.policy_failures,
            policy_pause: seconds("policy_pause_s", raw.policy_pause_s)?,
            command_limit: seconds("command_limit_s", raw.command_limit_s)?,
            priority: raw.priority,
            kinds: kinds("kinds", &raw.kinds)?,
            nodes: kinds("nodes", &raw.nodes)?,
            runtimes: raw
                .runtimes
                .into_iter()
                .map(|raw| Runtime::of(raw, catalog))
                .collect::<Result<_, _>>()?,
            mark: raw.mark,
        })
    }

    /// The kind that GPUs of this type on this node are; a type that is not mapped is the kind of the same name.
    pub fn kind(&self, node: &str, gpu_type: Option<&str>, catalog: &Catalog) -> Option<KindId> {
        if let Some(&kind) = self.nodes.get(node) {
            return Some(kind);
        }
        self.kind_of_type(gpu_type?, catalog)
    }

    /// The kind that a type is, wherever it stands.
    pub fn kind_of_type(&self, gpu_type: &str, catalog: &Catalog) -> Option<KindId> {
        self.kinds.get(gpu_type).copied().or_else(|| catalog.kind(gpu_type))
    }

    /// How long jobs of this name take by kind, if the site says so; the first entry that fits.
    pub fn runtime(&self, name: &str) -> Option<&[(KindId, f64)]> {
        let fits = |entry: &&Runtime| match entry.is_prefix {
            true => name.starts_with(&entry.name),
            false => name == entry.name,
        };
        self.runtimes.iter().find(fits).map(|entry| entry.seconds.as_slice())
    }
}

impl Runtime {
    fn of(raw: RawRuntime, catalog: &Catalog) -> Result<Runtime, String> {
        let mut seconds = Vec::new();
        for (name, &value) in &raw.seconds {
            let here = |why: String| format!("[[runtimes]] of {:?}: {why}", raw.name);
            if !(value > 0.0 && value.is_finite()) {
                return Err(here(format!("{name} = {value}: seconds, above 0")));
            }
            seconds.push((kind(catalog, name).map_err(here)?, value));
        }
        if seconds.is_empty() {
            return Err(format!("[[runtimes]] of {:?}: seconds of at least one kind", raw.name));
        }
        let is_prefix = raw.name.ends_with('*');
        Ok(Runtime { name: raw.name.trim_end_matches('*').to_owned(), is_prefix, seconds })
    }
}

fn kind(catalog: &Catalog, name: &str) -> Result<KindId, String> {
    catalog
        .kind(name)
        .ok_or_else(|| format!("{name:?} is no device of the catalogue (see `yardmaster inspect catalog`)"))
}

fn seconds(key: &str, value: f64) -> Result<Duration, String> {
    let span = Duration::try_from_secs_f64(value).ok().filter(|span| !span.is_zero());
    span.ok_or_else(|| format!("{key} = {value}: seconds, above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("slurm.toml"), Catalog::builtin()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn types_and_nodes_become_kinds() {
        let catalog = Catalog::builtin();
        let config = parse("[kinds]\ntesla = 'v100'\n[nodes]\nold7 = 'k80'").unwrap();
        let name = |kind: Option<KindId>| kind.map(|kind| catalog.device(kind).name.clone());
        assert_eq!(name(config.kind("n", Some("tesla"), catalog)).as_deref(), Some("v100"));
        assert_eq!(name(config.kind("n", Some("p100"), catalog)).as_deref(), Some("p100"));
        assert_eq!(name(config.kind("old7", None, catalog)).as_deref(), Some("k80"));
        assert_eq!(config.kind("n", Some("voodoo2"), catalog), None);
        assert_eq!(config.kind("n", None, catalog), None);
    }

    #[test]
    fn runtimes_go_by_name() {
        let config = parse(
            "[[runtimes]]\nname = 'train-*'\nseconds = { v100 = 60, p100 = 110 }\n\
             [[runtimes]]\nname = 'train'\nseconds = { v100 = 1 }",
        )
        .unwrap();
        assert_eq!(config.runtime("train-big").map(<[_]>::len), Some(2));
        assert_eq!(config.runtime("train").map(<[_]>::len), Some(1));
        assert_eq!(config.runtime("other"), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, told) in [
            ("takes = 'held'", "takes"),
            ("patience_s = 0", "patience_s = 0"),
            ("policy_failures = 0", "policy_failures = 0"),
            ("mark = 'two words'", "two words"),
            ("[kinds]\na = 'voodoo2'", "[kinds] a: \"voodoo2\""),
            ("[[runtimes]]\nname = 'x'\nseconds = { v100 = -1 }", "v100 = -1"),
            ("[[runtimes]]\nname = 'x'\nseconds = {}", "at least one kind"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("slurm.toml: ") && error.contains(told), "{text}: {error}");
        }
    }
}
