//! Generic resources: the GPUs that a node has and a job asks for.

/// GPUs of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gpus {
    /// The type, if one is named.
    pub(super) kind: Option<String>,
    /// How many.
    pub(super) count: u32,
}

/// The GPUs in a list such as `gpu:v100:4(S:0-1),nvme:1`, `gres:gpu:2`, `gres/gpu=2` or `gres/gpu:v100=2`; other
/// resources are passed over. `None` if an entry cannot be read.
pub(super) fn parse(list: &str) -> Option<Vec<Gpus>> {
    let mut gpus = Vec::new();
    for entry in entries(list) {
        let entry = entry.strip_prefix("gres:").or(entry.strip_prefix("gres/")).unwrap_or(entry);
        // What stands in brackets tells which ones: `(IDX:0-1)`, `(S:0)`.
        let entry = entry.split('(').next().unwrap_or(entry);
        let mut parts = entry.split([':', '=']);
        if parts.next() != Some("gpu") {
            continue;
        }
        gpus.push(match (parts.next(), parts.next()) {
            (None, _) => Gpus { kind: None, count: 1 },
            (Some(only), None) => match only.parse() {
                Ok(count) => Gpus { kind: None, count },
                Err(_) => Gpus { kind: Some(only.to_owned()), count: 1 },
            },
            (Some(kind), Some(count)) => Gpus { kind: Some(kind.to_owned()), count: count.parse().ok()? },
        });
    }
    Some(gpus)
}

/// How many GPUs of any type a list names; 0 if it cannot be read.
pub(super) fn count(list: &str) -> u32 {
    parse(list).unwrap_or_default().iter().map(|gpus| gpus.count).sum()
}

/// The entries between commas that stand in no bracket: `gpu:2(IDX:0,2),nvme:1` has two.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    let parts = list.split(move |character: char| {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.map(str::trim).filter(|entry| !matches!(*entry, "" | "(null)" | "N/A"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(list: &str) -> Vec<(Option<String>, u32)> {
        parse(list).unwrap().into_iter().map(|gpus| (gpus.kind, gpus.count)).collect()
    }

    #[test]
    fn every_spelling() {
        let v100 = Some("v100".to_owned());
        assert_eq!(gpus("gres:gpu:2"), [(None, 2)]);
        assert_eq!(gpus("gres:gpu:v100:2"), [(v100.clone(), 2)]);
        assert_eq!(gpus("gres/gpu=2"), [(None, 2)]);
        assert_eq!(gpus("gres/gpu:v100=2"), [(v100.clone(), 2)]);
        assert_eq!(gpus("gpu:v100:4(S:0-1),nvme:1"), [(v100.clone(), 4)]);
        assert_eq!(gpus("gpu:v100:2(IDX:0,2)"), [(v100.clone(), 2)]);
        assert_eq!(gpus("gpu"), [(None, 1)]);
        assert_eq!(gpus("gpu:v100"), [(v100, 1)]);
        assert!(gpus("(null)").is_empty() && gpus("").is_empty() && gpus("gres:nvme:1").is_empty());
        assert_eq!(parse("gpu:v100:many"), None);
    }

    #[test]
    fn nothing_in_use_is_none() {
        assert_eq!(count("gpu:v100:0(IDX:N/A)"), 0);
        assert_eq!(count("gpu:v100:2(IDX:0-1),gpu:p100:1(IDX:4)"), 3);
    }
}
