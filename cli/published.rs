//! The published curves of the packing experiment, as the artefact's analysis writes them.

use anyhow::{Context, Result, ensure};
use yardmaster_env::packing::{Curve, mean};

/// What the published table calls our rules.
const NAMES: [(&str, &str); 6] = [
    ("random", "01-Random"),
    ("dot-product", "02-DotProd"),
    ("gpu-clustering", "03-GpuClustering"),
    ("gpu-packing", "04-GpuPacking"),
    ("best-fit", "05-BestFit"),
    ("fgd", "06-FGD"),
];

/// Mean curves of the published rules on one workload.
pub(crate) struct Published {
    /// By the rules' names here.
    pub(crate) curves: Vec<(&'static str, Curve)>,
}

impl Published {
    /// Reads `workload,sc_policy,tune,seed,total_gpus,0,1,2,...`: percent allocated at each percent arrived, a run a row.
    pub(crate) fn parse(text: &str, name: &str, workload: &str) -> Result<Published> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().with_context(|| format!("{name} is no table"))?.clone();
        let column = |column: &str| {
            let found = header.iter().position(|known| known == column);
            found.with_context(|| format!("{name} line 1: column `{column}` is missing"))
        };
        let [of, policy, first] = [column("workload")?, column("sc_policy")?, column("0")?];
        let percents = header.iter().skip(first).enumerate();
        let ascending = percents.take_while(|(at, title)| title.parse() == Ok(*at)).count();
        let mut runs: Vec<Vec<Curve>> = vec![Vec::new(); NAMES.len()];
        for record in reader.records() {
            let record = record.with_context(|| format!("{name}: a row is damaged"))?;
            let known = NAMES.iter().position(|(_, title)| record.get(policy) == Some(*title));
            let (true, Some(rule)) = (record.get(of) == Some(workload), known) else { continue };
            let line = record.position().map_or(0, csv::Position::line);
            let cells = record.iter().skip(first).take(ascending);
            let allocated = cells.map(|cell| percent(cell, name, line)).collect::<Result<_>>()?;
            runs[rule].push(Curve { allocated });
        }
        let named = NAMES.iter().zip(runs).filter(|(_, runs)| !runs.is_empty());
        Ok(Published { curves: named.map(|((ours, _), runs)| (*ours, mean(&runs))).collect() })
    }

    /// The mean curve of a rule.
    pub(crate) fn curve(&self, rule: &str) -> Option<&Curve> {
        self.curves.iter().find(|(name, _)| *name == rule).map(|(_, curve)| curve)
    }
}

fn percent(cell: &str, name: &str, line: u64) -> Result<Option<f64>> {
    if cell.is_empty() {
        return Ok(None);
    }
    let value: f64 =
        cell.parse().with_context(|| format!("{name} line {line}: `{cell}` is not a number of percent"))?;
    ensure!((0.0..=100.0).contains(&value), "{name} line {line}: {cell} is not between 0 and 100 percent");
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "workload,sc_policy,tune,seed,total_gpus,0,1,2\n";

    #[test]
    fn runs_of_one_workload_are_averaged() {
        let text =
            format!("{HEAD}a,06-FGD,1.3,42,8,0.5,1,2\na,06-FGD,1.3,43,8,,1,1\nb,06-FGD,1.3,42,8,9,9,9\n");
        let published = Published::parse(&text, "p.csv", "a").unwrap();
        assert_eq!(published.curve("fgd").unwrap().allocated, [Some(0.5), Some(1.0), Some(1.5)]);
        assert!(published.curve("random").is_none());
        assert!(Published::parse(&text, "p.csv", "c").unwrap().curves.is_empty());
    }

    #[test]
    fn faults_are_named() {
        let parse = |text: &str| Published::parse(text, "p.csv", "a").err().unwrap().to_string();
        assert_eq!(parse("workload,0\n"), "p.csv line 1: column `sc_policy` is missing");
        let line = |cell: &str| parse(&format!("{HEAD}a,06-FGD,1.3,42,8,{cell},1,2\n"));
        assert_eq!(line("x"), "p.csv line 2: `x` is not a number of percent");
        assert_eq!(line("101"), "p.csv line 2: 101 is not between 0 and 100 percent");
    }
}
