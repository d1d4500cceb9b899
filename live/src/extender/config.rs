//! What labels and annotations of a cluster mean, from a small TOML file.

use std::collections::BTreeMap;

use serde::Deserialize;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::units::{KindId, Span};

use super::object::{Node, Texts};

/// The file as it is written; see [`Config::parse`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    resources: Vec<String>,
    kind_labels: Vec<String>,
    memory_label: String,
    rack_label: String,
    default_seconds: f64,
    kinds: BTreeMap<String, String>,
}

impl Default for RawConfig {
    fn default() -> RawConfig {
        RawConfig {
            resources: vec!["nvidia.com/gpu".into()],
            kind_labels: vec!["nvidia.com/gpu.product".into()],
            memory_label: "nvidia.com/gpu.memory".into(),
            rack_label: "topology.kubernetes.io/rack".into(),
            default_seconds: 3600.0,
            kinds: BTreeMap::new(),
        }
    }
}

/// What labels mean, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Resources that count as devices.
    pub resources: Vec<String>,
    /// Node labels that name a device, in order of precedence.
    pub kind_labels: Vec<String>,
    /// Node label with the memory of a device, in MiB.
    pub memory_label: String,
    /// Node label with the rack.
    pub rack_label: String,
    /// How long a pod is taken to run that says nothing.
    pub default_length: Span,
    /// Values of the kind labels, and what they are in the catalogue.
    pub kinds: BTreeMap<String, KindId>,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No TOML, or a key that does not belong there.
    #[error("{file}: {source}")]
    Toml {
        /// The file.
        file: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A device that the catalogue does not have.
    #[error(
        "{file}: [kinds] {label:?} is {kind:?}, which is no device of the catalogue; it has {}",
        .known.join(", ")
    )]
    Kind {
        /// The file.
        file: String,
        /// The label's value.
        label: String,
        /// What it should stand for.
        kind: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A mapping without a device.
    #[error(
        "{0}: [kinds] is empty; say which value of {1:?} is which device, such as \"Tesla-V100-SXM2-16GB\" = \"v100\""
    )]
    NoKinds(String, Vec<String>),
    /// A length that is none.
    #[error("{file}: default_seconds is {value}, expected more than 0")]
    Seconds {
        /// The file.
        file: String,
        /// What it says.
        value: f64,
    },
}

impl Config {
    /// Reads the file called `file`:
    ///
    /// ```toml
    /// resources = ["nvidia.com/gpu"]                    # what a device is called in requests
    /// kind_labels = ["nvidia.com/gpu.product"]          # node labels that name the device
    /// memory_label = "nvidia.com/gpu.memory"            # node label: memory of a device in MiB
    /// rack_label = "topology.kubernetes.io/rack"
    /// default_seconds = 3600.0                          # how long a pod runs that does not say
    ///
    /// [kinds]                                           # values of the kind labels -> devices of the catalogue
    /// "Tesla-V100-SXM2-16GB" = "v100"
    /// ```
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        let file = file.to_owned();
        let raw: RawConfig = toml::from_str(text)
            .map_err(|source| ConfigError::Toml { file: file.clone(), source: Box::new(source) })?;
        if raw.kinds.is_empty() {
            return Err(ConfigError::NoKinds(file, raw.kind_labels));
        }
        if raw.default_seconds.is_nan() || raw.default_seconds <= 0.0 {
            return Err(ConfigError::Seconds { file, value: raw.default_seconds });
        }
        let catalog = Catalog::builtin();
        let mut kinds = BTreeMap::new();
        for (label, kind) in raw.kinds {
            let Some(id) = catalog.kind(&kind) else {
                let known = catalog.devices().iter().map(|device| device.name.clone()).collect();
                return Err(ConfigError::Kind { file, label, kind, known });
            };
            kinds.insert(label, id);
        }
        Ok(Config {
            resources: raw.resources,
            kind_labels: raw.kind_labels,
            memory_label: raw.memory_label,
            rack_label: raw.rack_label,
            default_length: Span::from_secs_f64(raw.default_seconds),
            kinds,
        })
    }

    /// What the devices of a node are.
    pub fn kind(&self, labels: &Texts) -> Option<KindId> {
        let value = self.kind_labels.iter().find_map(|label| labels.get(label))?;
        self.kinds.get(value).copied()
    }

    /// How many devices a node gives to pods.
    pub fn devices(&self, node: &Node) -> u32 {
        let amount = |resource: &String| {
            let listed = [&node.status.allocatable, &node.status.capacity];
            let value = listed.into_iter().flatten().find_map(|list| list.get(resource)?.value());
            value.unwrap_or(0.0).max(0.0) as u32
        };
        self.resources.iter().map(amount).fold(0, u32::saturating_add)
    }

    /// Memory of one of its devices in MiB, by the label or else by the catalogue.
    pub fn memory_mib(&self, labels: &Texts) -> Option<f64> {
        let label = labels.get(&self.memory_label).and_then(|value| value.parse::<f64>().ok());
        let known =
            || self.kind(labels).map(|kind| Catalog::builtin().device(kind).memory_bytes as f64 / MIB);
        label.filter(|value| *value > 0.0).or_else(known)
    }
}

const MIB: f64 = 1024.0 * 1024.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_what_is_wrong_with_it() {
        let error = |text: &str| Config::parse(text, "k8s.toml").unwrap_err().to_string();
        assert!(error("").starts_with("k8s.toml: [kinds] is empty"), "{}", error(""));
        let unknown = error("[kinds]\n\"Tesla-V1000\" = \"v1000\"");
        assert!(unknown.contains("\"v1000\", which is no device of the catalogue; it has "), "{unknown}");
        assert!(error("colour = 3").contains("unknown field `colour`"), "{}", error("colour = 3"));
        let never = error("default_seconds = 0.0\n[kinds]\nx = \"v100\"");
        assert_eq!(never, "k8s.toml: default_seconds is 0, expected more than 0");
    }
}
