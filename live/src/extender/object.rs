//! The parts of Kubernetes' nodes and pods that are read; all else is passed over. What Go may leave empty may be absent or
//! null.

use std::collections::BTreeMap;

use serde::Deserialize;
use yardmaster_env::units::{Span, Time};

/// Names to texts, such as labels.
pub type Texts = BTreeMap<String, String>;

/// What `kubectl get nodes -o json` or `kubectl get pods -o json` prints, and the API answers.
#[derive(Clone, Debug, Deserialize)]
pub struct List<T> {
    /// The objects.
    pub items: Vec<T>,
}

/// A machine.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Node {
    /// Name and labels.
    pub metadata: Metadata,
    /// What it has.
    #[serde(default)]
    pub status: NodeStatus,
}

/// What a machine has.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeStatus {
    /// For pods.
    #[serde(default)]
    pub allocatable: Option<BTreeMap<String, Quantity>>,
    /// In all; counts where `allocatable` is absent.
    #[serde(default)]
    pub capacity: Option<BTreeMap<String, Quantity>>,
}

/// What all objects have.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Metadata {
    /// Unique in its namespace.
    pub name: String,
    /// Where pods live.
    #[serde(default)]
    pub namespace: String,
    /// Unique for ever.
    #[serde(default)]
    pub uid: String,
    /// For selectors.
    #[serde(default)]
    pub labels: Option<Texts>,
    /// For everything else.
    #[serde(default)]
    pub annotations: Option<Texts>,
}

impl Metadata {
    /// An annotation, or else a label.
    pub fn hint(&self, key: &str) -> Option<&str> {
        [&self.annotations, &self.labels]
            .into_iter()
            .flatten()
            .find_map(|texts| texts.get(key))
            .map(String::as_str)
    }
}

/// Containers that run together on one node.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Pod {
    /// Name, labels and annotations.
    pub metadata: Metadata,
    /// What it asks for.
    #[serde(default)]
    pub spec: PodSpec,
    /// What has become of it.
    #[serde(default)]
    pub status: PodStatus,
}

/// What a pod asks for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PodSpec {
    /// Where it is, once it is bound.
    #[serde(default, rename = "nodeName")]
    pub node_name: Option<String>,
    /// Run side by side.
    #[serde(default)]
    pub containers: Option<Vec<Container>>,
    /// Run one after another before.
    #[serde(default, rename = "initContainers")]
    pub init_containers: Option<Vec<Container>>,
}

/// What has become of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(default)]
    pub phase: Option<String>,
    /// When its node took it on, as RFC 3339 tells time.
    #[serde(default, rename = "startTime")]
    pub start_time: Option<String>,
}

/// A part of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Container {
    /// What it needs and may use.
    #[serde(default)]
    pub resources: Resources,
}

/// What a container needs and may use.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Resources {
    /// At least.
    #[serde(default)]
    pub requests: Option<BTreeMap<String, Quantity>>,
    /// At most; of devices it is the same, and requests may be left out.
    #[serde(default)]
    pub limits: Option<BTreeMap<String, Quantity>>,
}

/// An amount, such as `4`, `500m` or `16Gi`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Quantity {
    /// As the API writes it.
    Text(String),
    /// As people write it.
    Number(f64),
}

impl Quantity {
    /// The amount; `None` where it is not one.
    pub fn value(&self) -> Option<f64> {
        const SUFFIXES: [(&str, f64); 13] = [
            ("Ki", 1024.0),
            ("Mi", 1048576.0),
            ("Gi", 1073741824.0),
            ("Ti", 1099511627776.0),
            ("Pi", 1125899906842624.0),
            ("n", 1e-9),
            ("u", 1e-6),
            ("m", 1e-3),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("P", 1e15),
        ];
        let text = match self {
            Quantity::Number(value) => return Some(*value),
            Quantity::Text(text) => text.trim(),
        };
        let suffix = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
        let (number, factor) = suffix.unwrap_or((text, 1.0));
        number.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value * factor)
    }
}

impl Pod {
    /// Devices that the pod asks for, of any of these resources: those of its containers together, or of an init container
    /// that asks for more.
    pub fn devices(&self, resources: &[String]) -> u32 {
        let of = |container: &Container| -> u32 {
            let amounts = [&container.resources.requests, &container.resources.limits];
            let asked = resources.iter().map(|resource| {
                let amount = amounts.iter().find_map(|list| list.as_ref()?.get(resource)?.value());
                amount.unwrap_or(0.0).max(0.0) as u32
            });
            asked.fold(0, u32::saturating_add)
        };
        let together = self.spec.containers.iter().flatten().map(of).fold(0, u32::saturating_add);
        let before = self.spec.init_containers.iter().flatten().map(of).max().unwrap_or(0);
        together.max(before)
    }

    /// Whether it holds what it asked for.
    pub fn holds_devices(&self) -> bool {
        let over = matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"));
        self.spec.node_name.is_some() && !over
    }

    /// When its node took it on, since 1970.
    pub fn start(&self) -> Option<Time> {
        self.status.start_time.as_deref().and_then(rfc3339)
    }
}

/// Reads `2026-11-21T19:05:00Z`, which is how Kubernetes writes moments; fractions of seconds are left off.
fn rfc3339(text: &str) -> Option<Time> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
    // Days since 1970, with years that begin in March so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = u64::try_from(((days * 24 + hour) * 60 + minute) * 60 + second).ok()?;
    Some(Time::ZERO + Span::from_secs(seconds))
}

/// Three numbers of at most four digits.
fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let parts =
        text.split(separator).map(|part| part.parse::<i64>().ok().filter(|part| (0..10_000).contains(part)));
    parts.collect::<Option<Vec<i64>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_what_the_api_writes() {
        let value = |text: &str| Quantity::Text(text.into()).value();
        assert_eq!(value("4"), Some(4.0));
        assert_eq!(value("500m"), Some(0.5));
        assert_eq!(value("16Gi"), Some(16.0 * 1024.0 * 1024.0 * 1024.0));
        assert_eq!(value("2e3"), Some(2000.0));
        assert_eq!(value("5G"), Some(5e9));
        assert_eq!(value("many"), None);
        assert_eq!(value(""), None);
    }

    #[test]
    fn moments_are_counted_from_1970() {
        let seconds = |text| rfc3339(text).map(|time| time.0 / 1_000_000_000);
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:00:00Z"), Some(951_825_600));
        assert_eq!(seconds("2026-11-21T19:05:00.123456Z"), Some(1_795_287_900));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(seconds("1969-12-31T23:59:59Z"), None);
    }

    #[test]
    fn init_containers_count_where_they_ask_for_more() {
        let pod: Pod = serde_json::from_str(
            r#"{"metadata":{"name":"p"},"spec":{
                "containers":[{"resources":{"limits":{"nvidia.com/gpu":"1"}}},{"resources":{"requests":{"nvidia.com/gpu":2}}}],
                "initContainers":[{"resources":{"limits":{"nvidia.com/gpu":"2"}}}]}}"#,
        )
        .unwrap();
        let resources = ["nvidia.com/gpu".to_owned()];
        assert_eq!(pod.devices(&resources), 3);
        assert_eq!(pod.devices(&["amd.com/gpu".to_owned()]), 0);
    }
}
