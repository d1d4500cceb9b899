//! Tests of the forecasts: Poisson, a ramp, a burst, and what must hold of any arrivals.

use super::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Poisson arrivals from time 0 up to `end_s`, whose expected number up to a moment has the inverse `moment`.
fn arrivals(seed: u64, end_s: f64, moment: impl Fn(f64) -> f64) -> Vec<Time> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut expected = 0.0;
    let mut next = || {
        expected -= libm::log(1.0 - random.random::<f64>());
        moment(expected)
    };
    std::iter::from_fn(|| Some(next()).filter(|at| *at < end_s)).map(Time::from_secs_f64).collect()
}

fn seen(arrivals: &[Time]) -> Forecast {
    let mut forecast = Forecast::default();
    arrivals.iter().for_each(|at| forecast.arrive(*at, None));
    forecast
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_poisson_rate_is_found_without_bias_and_within_the_noise_of_its_scale() {
    // Early on, and after many times the slowest scale.
    for end_s in [4.0, 2000.0] {
        let now = Time::from_secs_f64(end_s);
        let all: Vec<Forecast> = (0..300).map(|seed| seen(&arrivals(seed, end_s, |sum| sum / 5.0))).collect();
        for (at, scale) in SCALES.iter().enumerate() {
            let rates: Vec<f64> = all.iter().map(|forecast| forecast.averages(now, None)[at]).collect();
            assert!((mean(&rates) / 5.0 - 1.0).abs() < 0.08, "{} at {end_s} s", mean(&rates));
            let error = mean(&rates.iter().map(|rate| (rate / 5.0 - 1.0).powi(2)).collect::<Vec<_>>()).sqrt();
            // An exponential window of n expected arrivals holds the information of 2 n.
            let noise = 1.0 / (2.0 * scale.min(5.0 * end_s)).sqrt();
            assert!(error < 1.6 * noise, "scale {scale} at {end_s} s: off by {error}, noise {noise}");
        }
        let ahead: Vec<f64> = all.iter().map(|forecast| forecast.rate(now, None, 1.0)).collect();
        assert!((mean(&ahead) / 5.0 - 1.0).abs() < 0.08, "{} at {end_s} s", mean(&ahead));
    }
}

#[test]
fn the_trend_follows_a_ramp_better_than_an_average_does() {
    // The rate is 10 + 1.5 t, its integral 10 t + 0.75 t^2.
    let ramp = |sum: f64| ((100.0 + 3.0 * sum).sqrt() - 10.0) / 1.5;
    let (now, horizon_s) = (Time::from_secs_f64(20.0), 1.0);
    let truth = 10.0 + 1.5 * 21.0;
    let errors = |of: fn(&Forecast, Time, f64) -> f64| {
        let error = |seed| of(&seen(&arrivals(seed, 20.0, ramp)), now, horizon_s) - truth;
        let all: Vec<f64> = (0..200).map(error).collect();
        (mean(&all), mean(&all.iter().map(|error| error * error).collect::<Vec<_>>()).sqrt())
    };
    let trend = errors(|forecast, now, horizon_s| forecast.rate(now, None, horizon_s));
    let average = errors(|forecast, now, _| forecast.averages(now, None)[TREND]);
    assert!(trend.0.abs() < 2.0, "bias {}", trend.0);
    assert!(trend.1 < 0.75 * average.1, "{trend:?} {average:?}");
}

#[test]
fn a_burst_shows_and_passes() {
    // 5 a second up to 200 s, then 25 a second for 4 s.
    let burst = |sum: f64| if sum < 1000.0 { sum / 5.0 } else { 200.0 + (sum - 1000.0) / 25.0 };
    let indicator = |end_s, ask_s| {
        let ask = |seed| seen(&arrivals(seed, end_s, burst)).burst(Time::from_secs_f64(ask_s), None);
        mean(&(0..50).map(ask).collect::<Vec<_>>())
    };
    let (before, within, after) = (indicator(200.0, 200.0), indicator(204.0, 204.0), indicator(204.0, 220.0));
    assert!((before - 1.0).abs() < 0.15 && within > 2.5 && after < 0.2, "{before} {within} {after}");
}

#[test]
fn the_series_is_the_function() {
    for x in (0..2000).map(|step| f64::from(step) * 1e-5) {
        let (own, exact) = (one_minus_exp(x), -libm::expm1(-x));
        assert!((own - exact).abs() <= 1e-14 * exact, "{own} {exact} at {x}");
    }
}

#[test]
fn streams_are_told_apart() {
    let mut forecast = Forecast::new(1);
    for second in 0..1000_u64 {
        forecast.arrive(Time(second * 1_000_000_000), (second % 4 == 0).then_some(2));
    }
    let now = Time(999_000_000_000);
    let rates = [None, Some(0), Some(2), Some(9)].map(|stream| forecast.averages(now, stream)[2]);
    for (rate, expected) in rates.into_iter().zip([1.0, 0.0, 0.25, 0.0]) {
        assert!((rate - expected).abs() < 0.01, "{rates:?}");
    }
    assert_eq!(forecast.burst(now, Some(0)), 1.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever arrives, answers are finite and not negative, and asking in between changes none.
    #[test]
    fn answers_are_sane_and_do_not_depend_on_who_asked(
        gaps in proptest::collection::vec(prop_oneof![Just(0_u64), 1..1000_u64, 1..1_000_000_000_000_u64], 0..200),
        rest in 0..1_000_000_000_000_000_u64,
        horizon_s in 0.0..1e9_f64,
    ) {
        let mut at = Time::ZERO;
        let (mut quiet, mut asked) = (Forecast::default(), Forecast::default());
        for (number, gap) in gaps.iter().enumerate() {
            at = Time(at.0 + gap);
            let stream = (number % 3 > 0).then_some(number % 3);
            asked.rate(at, stream, horizon_s);
            asked.averages(at, None);
            quiet.arrive(at, stream);
            asked.arrive(at, stream);
        }
        prop_assert_eq!(&quiet, &asked);
        for now in [at, Time(at.0 + rest), Time::MAX] {
            for stream in [None, Some(1), Some(7)] {
                let mut answers = quiet.averages(now, stream).to_vec();
                answers.extend([0.0, horizon_s, f64::INFINITY].map(|ahead| quiet.rate(now, stream, ahead)));
                answers.push(quiet.burst(now, stream));
                prop_assert!(answers.iter().all(|answer| answer.is_finite() && *answer >= 0.0), "{:?}", answers);
            }
        }
    }

    /// Time that passes in two parts has the same effect as in one.
    #[test]
    fn time_may_pass_in_parts(gaps in proptest::collection::vec(1..1_000_000_000_u64, 10..100), part in 0.0..1.0) {
        let mut at = Time::ZERO;
        let mut rates = Rates::default();
        for gap in &gaps {
            at = Time(at.0 + gap);
            rates.arrive(at);
        }
        let end = 3_000_000_000;
        let between = Time(at.0 + (part * end as f64) as u64);
        let (once, twice) = (rates.at(Time(at.0 + end)), rates.at(between).at(Time(at.0 + end)));
        for (one, two) in once.averages().into_iter().zip(twice.averages()) {
            prop_assert!((one - two).abs() <= 1e-9 * one, "{} {}", one, two);
        }
        prop_assert!((once.forecast(1.0) - twice.forecast(1.0)).abs() <= 1e-6 * once.averages()[TREND]);
    }
}
