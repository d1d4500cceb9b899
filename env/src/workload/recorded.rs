//! Sequences of a recorded trace as episodes: learned from in its first part, chosen by in its next, reported on in the
//! rest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{WorkloadError, check};
use super::random::Random;
use crate::job::{Job, Workload};
use crate::spec::Split;

/// Validation takes sequences of this share of its part at most, so that they are not all the same one.
const VALIDATION_SHARE: usize = 4;

/// Jobs in a row of a batch queue's trace, each time on an empty cluster. Where a sequence begins is drawn, from the part
/// that the seed's split stands for; test sequences may overlap.
///
/// A trace is one draw from what could have been recorded, and what is learned from a few thousand jobs may be its luck.
/// With `resample` sequences to learn from and to choose by are put together from pieces of their part: gaps between
/// arrivals stay in their order within a piece, and its jobs are drawn anew for them (a moving-block bootstrap: Künsch,
/// Annals of Statistics 17, 1989). Test sequences are always those recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedSource {
    /// The trace, in Standard Workload Format; beside the scenario's file, unless the name says where.
    pub file: String,
    /// Jobs of a sequence, from 1. In validation there are fewer where its part of the trace is short.
    pub jobs: u32,
    /// The share of the trace, from its beginning, that sequences of the training split are taken from.
    #[serde(default = "train_until")]
    pub train_until: f64,
    /// The share up to which those of the validation split are.
    #[serde(default = "validate_until")]
    pub validate_until: f64,
    /// Jobs of a piece that sequences of training and validation are put together from; 0 for jobs in a row, as recorded.
    #[serde(default)]
    pub resample: u32,
    /// Gaps between arrivals of such a sequence are multiplied by a factor that is drawn from this range, so that what is
    /// learned holds for more than the load of that part of the trace.
    #[serde(default = "as_recorded")]
    pub gap_factors: [f64; 2],
    /// SHA-256 of the jobs, once they have been read; a file does not give it.
    #[serde(default, skip_deserializing)]
    pub sha256: String,
    #[serde(skip)]
    trace: Option<Arc<Workload>>,
}

fn train_until() -> f64 {
    0.6
}

fn validate_until() -> f64 {
    0.7
}

fn as_recorded() -> [f64; 2] {
    [1.0, 1.0]
}

impl RecordedSource {
    /// The same with the jobs of its file.
    #[must_use]
    pub fn with_trace(self, workload: Workload) -> RecordedSource {
        let text = format!("{:?} {:?}", workload.jobs, workload.truths);
        let sha256 = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        RecordedSource { sha256, trace: Some(Arc::new(workload)), ..self }
    }

    /// The sequence of a seed.
    pub(super) fn generate(&self, seed: u64) -> Result<Workload, WorkloadError> {
        let Some(trace) = &self.trace else {
            return Err(WorkloadError::Settings("the trace that `file` names has not been read"));
        };
        let (first, end) = self.part(Split::of(seed), trace.len())?;
        let whole = self.jobs as usize;
        if self.resample > 0 && Split::of(seed) != Split::Test {
            return self.pieces(trace, first, end, seed);
        }
        let jobs = match Split::of(seed) {
            Split::Validation => whole.min(((end - first) / VALIDATION_SHARE).max(1)),
            Split::Train | Split::Test => whole,
        };
        let places = (end - first + 1).checked_sub(jobs).filter(|places| *places > 0);
        let places = places.ok_or(WorkloadError::Settings(
            "a part of the trace has fewer jobs than a sequence: lower `jobs`, or move `train_until` and `validate_until`",
        ))?;
        Ok(trace.slice(first + Random::new(seed).below(places), jobs))
    }

    /// A sequence of pieces of the jobs `[first, end)`.
    fn pieces(
        &self,
        trace: &Workload,
        first: usize,
        end: usize,
        seed: u64,
    ) -> Result<Workload, WorkloadError> {
        let length = self.resample as usize;
        let places = (end - first).checked_sub(length).filter(|places| *places > 0).ok_or(
            WorkloadError::Settings("a part of the trace has fewer jobs than a piece: lower `resample`"),
        )?;
        let [low, high] = self.gap_factors;
        check(
            "gap_factors",
            low,
            low > 0.0 && low <= high && high.is_finite(),
            "above 0, the lower one first",
        )?;
        let mut random = Random::new(seed);
        let factor = random.between(low, high);
        let (mut all, mut now) = (Workload::default(), None);
        all.speeds.clone_from(&trace.speeds);
        while all.len() < self.jobs as usize {
            // A piece has a job before it, so that its first gap is known.
            let start = first + 1 + random.below(places);
            for at in (start..start + length).take(self.jobs as usize - all.len()) {
                let gap = trace.jobs[at].arrival.since(trace.jobs[at - 1].arrival).scaled(factor);
                // The clock begins where the first piece was recorded: some rules look at it.
                let arrival = now.map_or(trace.jobs[at].arrival, |now| now + gap);
                now = Some(arrival);
                let drawn = start + random.below(length);
                let label = all.len() as u64 + 1;
                all.push(Job { label, arrival, ..trace.jobs[drawn].clone() }, trace.truths[drawn]);
            }
        }
        Ok(all)
    }

    /// The jobs `[first, end)` of a split.
    fn part(&self, split: Split, jobs: usize) -> Result<(usize, usize), WorkloadError> {
        let (train, validate) = (self.train_until, self.validate_until);
        check("jobs", f64::from(self.jobs), self.jobs > 0, "at least 1")?;
        check("train_until", train, train > 0.0 && train < 1.0, "above 0 and below 1")?;
        check(
            "validate_until",
            validate,
            validate > train && validate < 1.0,
            "above `train_until` and below 1",
        )?;
        let [train, validate] = [train, validate].map(|share| (share * jobs as f64).round() as usize);
        Ok(match split {
            Split::Train => (0, train),
            Split::Validation => (train, validate),
            Split::Test => (validate, jobs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Task, Truth};
    use crate::units::{Span, Time};

    /// A hundred jobs; each is known by its arrival.
    fn source(jobs: u32) -> RecordedSource {
        let text = format!("file = \"a.swf\"\njobs = {jobs}");
        let mut workload = Workload::default();
        for at in 0..100 {
            let task = Task::Rigid { requested: Span(at) };
            workload.push(Job::new(at, Time(at), task, 1), Truth::AsEstimated);
        }
        toml::from_str::<RecordedSource>(&text).unwrap().with_trace(workload)
    }

    #[test]
    fn each_split_has_its_part_of_the_trace() {
        for (split, [low, high], length) in
            [(Split::Train, [0, 60], 20), (Split::Validation, [60, 70], 2), (Split::Test, [70, 100], 20)]
        {
            let mut starts = std::collections::BTreeSet::new();
            for number in 0..400 {
                let drawn = source(20).generate(split.seed(3, number)).unwrap();
                let (first, last) = (drawn.jobs[0].arrival.0, drawn.jobs[drawn.len() - 1].arrival.0);
                assert_eq!(drawn.len(), length);
                assert!(first >= low && last < high, "{split:?}: {first} to {last}");
                starts.insert(first);
            }
            let places = (high - low) as usize + 1 - length;
            assert_eq!(starts.len(), places, "every place is drawn: {split:?}");
        }
    }

    #[test]
    fn pieces_keep_gaps_and_stay_in_their_part() {
        let source = RecordedSource { resample: 4, ..source(50) };
        for (split, [low, high]) in [(Split::Train, [0, 60]), (Split::Validation, [60, 70])] {
            let mut seen = std::collections::BTreeSet::new();
            for number in 0..100 {
                let drawn = source.generate(split.seed(3, number)).unwrap();
                assert_eq!(drawn.len(), 50, "as long as asked, though the part may be shorter");
                for pair in drawn.jobs.windows(2) {
                    assert_eq!(pair[1].arrival.since(pair[0].arrival), Span(1), "recorded gaps are all 1");
                }
                // Requested times tell the jobs apart.
                let requested = drawn.jobs.iter().map(Job::steps);
                assert!(requested.clone().all(|at| (low..high).contains(&at)), "{split:?}");
                seen.extend(requested);
            }
            assert!(seen.len() as u64 >= high - low - 2, "{split:?}: {} jobs were drawn", seen.len());
        }
        let test = Split::Test.seed(3, 1);
        let plain = RecordedSource { resample: 0, jobs: 20, ..source.clone() };
        let drawn = RecordedSource { jobs: 20, ..source }.generate(test).unwrap();
        assert_eq!(drawn.jobs, plain.generate(test).unwrap().jobs, "test sequences are those recorded");
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let error = |source: RecordedSource| source.generate(Split::Test.seed(1, 1)).unwrap_err().to_string();
        assert!(error(source(31)).contains("fewer jobs than a sequence"));
        assert!(error(source(0)).contains("`jobs` is 0"));
        let pieces = |resample, gap_factors| {
            let source = RecordedSource { resample, gap_factors, ..source(5) };
            source.generate(Split::Train.seed(1, 1)).unwrap_err().to_string()
        };
        assert!(pieces(60, [1.0, 1.0]).contains("fewer jobs than a piece"));
        assert!(pieces(4, [2.0, 1.0]).contains("`gap_factors` is 2"));
        assert!(error(RecordedSource { train_until: 0.8, ..source(5) }).contains("`validate_until` is 0.7"));
        assert!(error(RecordedSource { trace: None, ..source(5) }).contains("has not been read"));
        assert_ne!(
            source(5).sha256,
            RecordedSource { trace: None, ..source(5) }.with_trace(Workload::default()).sha256
        );
    }
}
