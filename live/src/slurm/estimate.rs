//! How long a job should take on each kind of device: what its owner says in the comment, what the site says of jobs of
//! its name, or its time limit.

use yardmaster_env::catalog::Catalog;
use yardmaster_env::units::KindId;

use super::config::{Config, Take};
use super::jobs::{Ask, Request};

/// What is known of a job beside its request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Estimate {
    /// Seconds by kind of the site, above 0; where a kind is absent the job does not run.
    pub(super) seconds: Vec<(KindId, f64)>,
    /// How much it counts.
    pub(super) weight: f64,
    /// Where the seconds come from: the owner's or the site's words, or else the time limit.
    pub(super) source: &'static str,
}

/// The word of the comment that begins with the mark, without it: `yardmaster:model=ResNet-50,…` gives `model=ResNet-50,…`, and
/// `yardmaster` an empty text. `None` without a mark.
fn marked<'a>(comment: &'a str, mark: &str) -> Option<&'a str> {
    comment.split(|c: char| c.is_whitespace() || c == ';').find_map(|word| {
        let rest = word.strip_prefix(mark)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':') }
    })
}

/// Whether a held job is the adapter's.
pub(super) fn is_ours(request: &Request, config: &Config) -> bool {
    config.take == Take::Held || marked(&request.comment, &config.mark).is_some()
}

/// The estimate of a job on these kinds, `devices` at once. The error says what is wrong with what its owner wrote.
pub(super) fn estimate(
    request: &Request,
    devices: u32,
    kinds: &[KindId],
    config: &Config,
    catalog: &Catalog,
) -> Result<Estimate, String> {
    let said = marked(&request.comment, &config.mark).unwrap_or_default();
    let claim = Claim::parse(said, config, catalog).map_err(|why| format!("comment {said:?}: {why}"))?;
    let (mut seconds, source) = if let Some(training) = &claim.training {
        (training.seconds(devices, kinds, catalog)?, "its model")
    } else if !claim.seconds.is_empty() {
        (claim.seconds, "its comment")
    } else if let Some(seconds) = config.runtime(&request.name) {
        (seconds.to_vec(), "its name")
    } else {
        let limit = request.time_limit_s.ok_or("neither an estimate nor a time limit")?;
        (kinds.iter().map(|&kind| (kind, limit as f64)).collect(), "its time limit")
    };
    let wanted = match &request.gpus {
        Ask::PerNode(gpus) | Ask::PerJob(gpus) => gpus.kind.as_deref(),
        Ask::Other | Ask::Nothing => None,
    };
    if let Some(name) = wanted {
        let kind =
            config.kind_of_type(name, catalog).ok_or_else(|| format!("GPU type {name:?} is not known"))?;
        seconds.retain(|(known, _)| *known == kind);
    }
    seconds.retain(|(kind, _)| kinds.contains(kind));
    seconds.sort_by_key(|(kind, _)| *kind);
    if seconds.is_empty() {
        return Err(format!("by {source} it runs on none of the GPUs in service"));
    }
    Ok(Estimate { seconds, weight: claim.weight, source })
}

/// What an owner says.
struct Claim {
    training: Option<Training>,
    seconds: Vec<(KindId, f64)>,
    weight: f64,
}

/// So many samples of a model of the catalogue.
struct Training {
    model: String,
    batch: u32,
    samples: f64,
}

impl Claim {
    /// Reads `model=NAME,batch=B,samples=N` or `KIND=SECONDS,…`, either with `weight=W`.
    fn parse(said: &str, config: &Config, catalog: &Catalog) -> Result<Claim, String> {
        let (mut model, mut batch, mut samples) = (None, None, None);
        let mut claim = Claim { training: None, seconds: Vec::new(), weight: 1.0 };
        for part in said.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not key=value"))?;
            match key {
                "model" => model = Some(value.to_owned()),
                "batch" => batch = Some(number(part, value)? as u32),
                "samples" => samples = Some(number(part, value)?),
                "weight" => claim.weight = number(part, value)?,
                _ => {
                    let kind = config.kind_of_type(key, catalog).ok_or_else(|| {
                        format!("{key:?} is neither model, batch, samples, weight nor a GPU type")
                    })?;
                    claim.seconds.push((kind, number(part, value)?));
                }
            }
        }
        claim.training = match (model, batch, samples) {
            (None, None, None) => None,
            (Some(model), Some(batch), Some(samples)) if batch > 0 => {
                Some(Training { model, batch, samples })
            }
            _ => return Err("model, batch and samples go together, with a batch of at least 1".into()),
        };
        if claim.training.is_some() && !claim.seconds.is_empty() {
            return Err("either a model or seconds by GPU type".into());
        }
        Ok(claim)
    }
}

impl Training {
    /// By measured speeds of the catalogue.
    fn seconds(
        &self,
        devices: u32,
        kinds: &[KindId],
        catalog: &Catalog,
    ) -> Result<Vec<(KindId, f64)>, String> {
        let model = catalog.training(&self.model).ok_or_else(|| {
            format!(
                "{:?} is no training model of the catalogue (see `yardmaster inspect catalog`)",
                self.model
            )
        })?;
        let seconds = |&kind: &KindId| {
            let speed = catalog.training_speed(model, kind, devices, self.batch)?.samples_per_s;
            (speed > 0.0).then(|| (kind, self.samples / speed))
        };
        Ok(kinds.iter().filter_map(seconds).collect())
    }
}

/// A number above 0.
fn number(part: &str, value: &str) -> Result<f64, String> {
    let number = value.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| format!("{part:?} has no number above 0"))
}

#[cfg(test)]
mod tests {
    use super::super::gres::Gpus;
    use super::*;

    fn request(comment: &str) -> Request {
        Request {
            name: "train-1".into(),
            user_id: 1,
            partition: "gpu".into(),
            comment: comment.into(),
            gpus: Ask::PerNode(Gpus { kind: None, count: 1 }),
            nodes: 1,
            cpus: 1,
            memory_mib: 0,
            features: String::new(),
            required_nodes: Vec::new(),
            excluded_nodes: Vec::new(),
            dependency: String::new(),
            reservation: String::new(),
            time_limit_s: Some(600),
            deadline_s: None,
        }
    }

    fn of(request: &Request) -> Result<Vec<(String, f64)>, String> {
        let catalog = Catalog::builtin();
        let kinds: Vec<KindId> =
            ["v100", "p100", "k80"].iter().map(|name| catalog.kind(name).unwrap()).collect();
        let estimate = estimate(request, 1, &kinds, &Config::default(), catalog)?;
        let mut seconds: Vec<(String, f64)> = estimate
            .seconds
            .iter()
            .map(|&(kind, value)| (catalog.device(kind).name.clone(), value))
            .collect();
        seconds.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(seconds)
    }

    fn pairs(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn a_model_takes_what_was_measured() {
        let seconds = of(&request("yardmaster:model=ResNet-50,batch=64,samples=3961.78")).unwrap();
        assert_eq!(seconds.len(), 3);
        // 39.6178 samples a second on a K80, as the catalogue has it.
        assert!((seconds[0].1 - 100.0).abs() < 1e-9, "{seconds:?}");
    }

    #[test]
    fn seconds_by_type_and_the_time_limit() {
        assert_eq!(of(&request("yardmaster:v100=5,k80=20")).unwrap(), pairs(&[("k80", 20.0), ("v100", 5.0)]));
        assert_eq!(
            of(&request("yardmaster")).unwrap(),
            pairs(&[("k80", 600.0), ("p100", 600.0), ("v100", 600.0)])
        );
        assert_eq!(of(&request("mine; yardmaster:v100=5")).unwrap(), pairs(&[("v100", 5.0)]));
    }

    #[test]
    fn a_type_that_was_asked_for_is_kept_to() {
        let mut typed = request("yardmaster:v100=5,k80=20");
        typed.gpus = Ask::PerNode(Gpus { kind: Some("k80".into()), count: 1 });
        assert_eq!(of(&typed).unwrap(), pairs(&[("k80", 20.0)]));
        typed.gpus = Ask::PerNode(Gpus { kind: Some("voodoo2".into()), count: 1 });
        assert!(of(&typed).unwrap_err().contains("voodoo2"));
    }

    #[test]
    fn what_an_owner_got_wrong_is_named() {
        for (comment, told) in [
            ("yardmaster:v100", "\"v100\" is not key=value"),
            ("yardmaster:v100=soon", "v100=soon"),
            ("yardmaster:voodoo2=5", "voodoo2"),
            ("yardmaster:model=ResNet-50", "go together"),
            ("yardmaster:model=Eliza,batch=1,samples=5", "Eliza"),
            ("yardmaster:model=ResNet-50,batch=64,samples=5,v100=5", "either"),
        ] {
            let why = of(&request(comment)).unwrap_err();
            assert!(why.contains(told), "{comment}: {why}");
        }
        let mut endless = request("yardmaster");
        endless.time_limit_s = None;
        assert!(of(&endless).unwrap_err().contains("time limit"));
    }

    #[test]
    fn only_marked_jobs_are_ours() {
        let config = Config::default();
        assert!(is_ours(&request("yardmaster"), &config));
        assert!(is_ours(&request("x yardmaster:v100=5"), &config));
        assert!(!is_ours(&request("yardmasters"), &config) && !is_ours(&request(""), &config));
    }
}
