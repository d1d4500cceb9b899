//! Tests of regimes: each segment has its load, its burstiness and its length.

use super::*;

fn regimes(toml: &str) -> Regimes {
    toml::from_str(toml).unwrap()
}

const LAUNCH: &str = "segments = [
    { duration_s = 30, factor = 0.4 },
    { duration_s = 10, factor = 2.0, process = { sweeps = { mean_size = 6 } }, shares = [1, 3] },
    { duration_s = 20, factor = 0.0 },
]";

/// Arrivals until second 60,000, at a rate of 10.
fn arrivals(regimes: Regimes) -> (Process, Vec<Arrival>) {
    let process = Process::Regimes(regimes);
    process.check(2).unwrap();
    let arrivals = Arrivals::new(&process, 10.0, 7).take_while(|next| next.at < 60_000.0).collect();
    (process, arrivals)
}

#[test]
fn segments_come_as_listed_with_their_loads() {
    let (process, arrivals) = arrivals(regimes(LAUNCH));
    for next in &arrivals {
        let second = next.at % 60.0;
        assert_eq!(next.segment, usize::from(second >= 30.0), "at {}", next.at);
        assert!(second < 40.0);
    }
    let of = |segment| arrivals.iter().filter(|next| next.segment == segment).count() as f64;
    assert!((of(0) / 120_000.0 - 1.0).abs() < 0.02, "{}", of(0));
    assert!((of(1) / 200_000.0 - 1.0).abs() < 0.03, "{}", of(1));
    assert!((process.mean_factor() - 32.0 / 60.0).abs() < 1e-12);
    assert!((arrivals.len() as f64 / 600_000.0 / process.mean_factor() - 1.0).abs() < 0.03);
}

#[test]
fn only_the_launch_comes_in_sweeps() {
    let (_, arrivals) = arrivals(regimes(LAUNCH));
    let together = |segment| {
        let pairs = arrivals.windows(2).filter(|pair| pair[1].segment == segment);
        let (same, all) = pairs.fold((0.0, 0.0), |(same, all), pair| {
            (same + f64::from(u8::from(pair[0].at == pair[1].at)), all + 1.0)
        });
        same / all
    };
    assert!(together(0) == 0.0 && together(1) > 0.8, "{} {}", together(0), together(1));
}

#[test]
fn random_orders_and_durations_keep_the_shares_of_time() {
    let text = format!("order = \"random\"\ndurations = \"exponential\"\n{LAUNCH}");
    let (process, arrivals) = arrivals(regimes(&text));
    let other: Vec<Arrival> = Arrivals::new(&process, 10.0, 8).take(arrivals.len()).collect();
    assert_ne!(arrivals, other);
    assert!((arrivals.len() as f64 / 600_000.0 / process.mean_factor() - 1.0).abs() < 0.1);
    assert!(arrivals.is_sorted_by(|one, next| one.at <= next.at));
}

#[test]
fn the_mix_of_a_segment_replaces_that_of_the_source() {
    let regimes = regimes(LAUNCH);
    let own = [0.5, 0.5];
    assert_eq!(regimes.shares(0, &own), own);
    assert_eq!(regimes.shares(1, &own), [1.0, 3.0]);
    // 12 arrivals, half and half, and 20 of which a quarter and three quarters.
    assert_eq!(regimes.mean_shares(&own), [6.0 + 5.0, 6.0 + 15.0]);
}

#[test]
fn one_segment_may_follow_itself() {
    let (_, arrivals) = arrivals(regimes("order = \"random\"\nsegments = [{ duration_s = 3 }]"));
    assert!((arrivals.len() as f64 / 600_000.0 - 1.0).abs() < 0.01);
}
