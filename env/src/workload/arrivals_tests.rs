//! Tests of the processes: mean rates, variability, the course of the day, and refusals.

use super::*;
use crate::workload::{Order, Segment, Start};

const BURSTY: Process = Process::Bursty { factor: 3.0, share: 0.2, mean_burst_s: 0.3 };
const SWEEPS: Process = Process::Sweeps { mean_size: 8.0 };
const DAY: Process = Process::Diurnal { period_s: 100.0, amplitude: 0.8, phase: Some(0.25) };

fn trace(gaps_s: &[f64], start: Start) -> Process {
    Process::Trace(Replay { gaps_s: gaps_s.to_vec(), start })
}

#[test]
fn the_mean_rate_is_kept() {
    let unseen = Process::Diurnal { period_s: 3.0, amplitude: 1.0, phase: None };
    let recorded = trace(&[1.0, 2.0, 0.0, 9.0], Start::Random);
    for process in [Process::Poisson, BURSTY, SWEEPS, DAY, unseen, recorded] {
        let count = 400_000;
        let last = Arrivals::new(&process, 50.0, 3).nth(count - 1).unwrap().at;
        let rate = count as f64 / last;
        assert!((rate - 50.0).abs() < 1.5, "{process:?}: {rate} per second");
    }
}

/// Arrivals in windows of a second.
fn counts(process: &Process) -> Vec<f64> {
    let mut counts = vec![0.0_f64; 4000];
    for next in Arrivals::new(process, 50.0, 3).take_while(|next| next.at < 4000.0) {
        counts[next.at as usize] += 1.0;
    }
    counts
}

/// Variance over mean of the number of arrivals in windows of a second.
fn dispersion(process: &Process) -> f64 {
    let counts = counts(process);
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>() / counts.len() as f64 / mean
}

#[test]
fn bursts_and_sweeps_are_more_variable_than_poisson() {
    assert!((dispersion(&Process::Poisson) - 1.0).abs() < 0.1);
    // A geometric of mean m has second moment m (2 m - 1), which a compound Poisson process has as
    // dispersion times m.
    assert!((dispersion(&SWEEPS) - 15.0).abs() < 1.5);
    assert!(dispersion(&BURSTY) > 5.0);
}

#[test]
fn the_rate_follows_the_day() {
    let counts = counts(&DAY);
    // With phase 0.25 the day begins at its height.
    for (hour, expected) in [(0, 90.0), (25, 50.0), (50, 10.0), (75, 50.0)] {
        let days = counts.chunks(100).map(|day| (day[hour] + day[(hour + 99) % 100]) / 2.0);
        let mean = days.sum::<f64>() / 40.0;
        assert!((mean - expected).abs() < 4.0, "{mean} around second {hour}, expected {expected}");
    }
    let unseen = Process::Diurnal { period_s: 100.0, amplitude: 1.0, phase: None };
    let first = |seed| Arrivals::new(&unseen, 0.01, seed).day;
    assert_ne!(first(1), first(2));
}

#[test]
fn a_trace_is_replayed_from_its_start_or_anywhere() {
    let gaps = [1.0, 2.0, 0.0, 5.0];
    let told = |process: &Process, rate, seed| {
        Arrivals::new(process, rate, seed).take(5).map(|next| next.at).collect::<Vec<_>>()
    };
    let process = trace(&gaps, Start::First);
    assert_eq!(told(&process, 0.5, 1), [1.0, 3.0, 3.0, 8.0, 9.0]);
    assert_eq!(told(&process, 1.0, 2), [0.5, 1.5, 1.5, 4.0, 4.5]);
    let anywhere = trace(&gaps, Start::Random);
    let begins: std::collections::BTreeSet<u64> =
        (0..100).map(|seed| told(&anywhere, 0.5, seed)[0] as u64).collect();
    assert_eq!(begins, [0, 1, 2, 5].into());
}

#[test]
fn settings_are_checked() {
    let bursty = |factor, share, mean_burst_s| Process::Bursty { factor, share, mean_burst_s };
    for bad in [bursty(0.5, 0.2, 1.0), bursty(6.0, 0.2, 1.0), bursty(2.0, 0.0, 1.0), bursty(2.0, 0.2, 0.0)] {
        assert!(bad.check(1).is_err(), "{bad:?}");
    }
    assert!(bursty(5.0, 0.2, 1.0).check(1).is_ok());
    let day = |period_s, amplitude, phase| Process::Diurnal { period_s, amplitude, phase };
    let segment = |factor, process, shares| Segment { duration_s: 1.0, factor, process, shares };
    let regimes = |segments| {
        Process::Regimes(Regimes { segments, order: Order::Random, durations: Default::default() })
    };
    for (process, expected) in [
        (Process::Sweeps { mean_size: 0.5 }, "`mean_size` is 0.5; it must be a number from 1"),
        (day(0.0, 0.5, None), "`period_s` is 0; it must be a number above 0"),
        (day(1.0, 1.5, None), "`amplitude` is 1.5; it must be from 0 to 1"),
        (day(1.0, 0.5, Some(-0.5)), "`phase` is -0.5; it must be from 0 to 1"),
        (trace(&[], Start::First), "`gaps_s: sum` is"),
        (trace(&[1.0, -2.0], Start::First), "`gaps_s` is -2; it must be a number from 0"),
        (regimes(vec![]), "regimes need at least one segment"),
        (regimes(vec![segment(0.0, BURSTY, None)]), "`segments: sum of factors` is 0"),
        (regimes(vec![segment(1.0, DAY, None)]), "the process of a segment must be"),
        (regimes(vec![segment(1.0, SWEEPS, Some(vec![1.0]))]), "`shares` is a list of 1; it must be one"),
        (regimes(vec![segment(1.0, SWEEPS, Some(vec![0.0, 0.0]))]), "`shares: sum` is 0"),
    ] {
        let error = process.check(2).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} is not {expected}");
    }
}
