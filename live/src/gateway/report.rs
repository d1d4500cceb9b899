//! What came of a comparison, as Markdown.

use std::fmt::Write;

use yardmaster_agent::stats::{self, Estimate};

use super::compare::{Row, Simulated};
use crate::load::infer::Report;

/// All tables: what each policy came to, how far off the simulator was, and each policy against one of them, `against`,
/// on the same arrivals.
pub fn page(rows: &[Row], against: &str) -> String {
    format!(
        "Medians over episodes, live and simulated; the error is simulated over live.\n\n{}\n\
         The simulator's error in single episodes, without sign: the median episode and the worst.\n\n{}\n\
         Against {against} on the same arrivals, with 95 % t intervals over episodes; `differs` where the live difference\n\
         of misses has a p value below 0.05, adjusted for the number of policies (paired t test, Holm 1979).\n\n{}",
        medians(rows),
        errors(rows),
        paired(rows, against)
    )
}

/// A line for each policy: medians over the episodes, live and simulated, and the error of the prediction.
fn medians(rows: &[Row]) -> String {
    let mut text = head(
        "policy | mean ms: live | simulated | error | p99 ms: live | simulated | error | in time: live | simulated | \
         error, points | batch: live | simulated",
    );
    for (name, own) in by_policy(rows) {
        let of = |value: &dyn Fn(&Row) -> f64| median(own.iter().map(|row| value(row)).collect());
        let pair = |live: fn(&Report) -> f64, simulated: fn(&Simulated) -> f64| {
            (of(&|row| live(&row.live)), of(&|row| simulated(&row.simulated)))
        };
        let (mean, mean_sim) = pair(|live| live.mean_ms, |sim| sim.mean_ms);
        let (p99, p99_sim) = pair(|live| live.p99_ms, |sim| sim.p99_ms);
        let (slo, slo_sim) = pair(|live| live.slo_attainment, |sim| sim.slo_attainment);
        let (batch, batch_sim) = pair(|live| live.mean_batch, |sim| sim.mean_batch);
        let ratio = |live: f64, simulated: f64| format!("{:+.1} %", (simulated / live - 1.0) * 100.0);
        let _ = writeln!(
            text,
            "| {name} | {mean:.2} | {mean_sim:.2} | {} | {p99:.2} | {p99_sim:.2} | {} | {:.1} % | {:.1} % | {:+.1} | \
             {batch:.2} | {batch_sim:.2} |",
            ratio(mean, mean_sim),
            ratio(p99, p99_sim),
            slo * 100.0,
            slo_sim * 100.0,
            (slo_sim - slo) * 100.0,
        );
    }
    text
}

/// A line for each policy: how far off single episodes are.
fn errors(rows: &[Row]) -> String {
    let mut text =
        head("policy | mean: median | worst | p99: median | worst | in time, points: median | worst");
    for (name, own) in by_policy(rows) {
        let mut line = format!("| {name} |");
        let mut add = |unit: &str, error: &dyn Fn(&Row) -> f64| {
            let errors: Vec<f64> = own.iter().map(|row| error(row).abs() * 100.0).collect();
            let worst = errors.iter().copied().fold(0.0, f64::max);
            let _ = write!(line, " {:.1}{unit} | {worst:.1}{unit} |", median(errors));
        };
        add(" %", &|row| row.simulated.mean_ms / row.live.mean_ms - 1.0);
        add(" %", &|row| row.simulated.p99_ms / row.live.p99_ms - 1.0);
        add("", &|row| row.simulated.slo_attainment - row.live.slo_attainment);
        text += &(line + "\n");
    }
    text
}

/// A line for each policy: misses and mean latency beside those of one.
fn paired(rows: &[Row], against: &str) -> String {
    let policies = by_policy(rows);
    let Some((_, base)) = policies.iter().find(|(name, _)| *name == against) else { return String::new() };
    let misses = |rows: &[&Row]| {
        let live = rows.iter().map(|row| (1.0 - row.live.slo_attainment) * 100.0).collect();
        (live, rows.iter().map(|row| (1.0 - row.simulated.slo_attainment) * 100.0).collect())
    };
    let means = |rows: &[&Row]| {
        let live = rows.iter().map(|row| row.live.mean_ms).collect();
        (live, rows.iter().map(|row| row.simulated.mean_ms).collect())
    };
    let (base_misses, base_means): (Both, Both) = (misses(base), means(base));
    let others: Vec<(&str, Both, Both)> = policies
        .iter()
        .filter(|(name, own)| *name != against && own.len() == base.len())
        .map(|(name, own)| (*name, misses(own), means(own)))
        .collect();
    let p_values: Vec<f64> =
        others.iter().map(|(_, missed, _)| stats::paired_p(&missed.0, &base_misses.0)).collect();
    let mut text = head(
        "policy | misses: live | simulated | less those of the other, points: live | simulated | mean over the other's: \
         live | simulated | differs",
    );
    let shown = |estimate: Estimate, digits: usize| {
        format!("{:.digits$} [{:.digits$}, {:.digits$}]", estimate.value, estimate.ci95[0], estimate.ci95[1])
    };
    let line = |name: &str, missed: &Both| {
        format!("| {name} | {:.2} % | {:.2} % |", stats::mean(&missed.0).value, stats::mean(&missed.1).value)
    };
    let _ = writeln!(text, "{} - | - | - | - | - |", line(against, &base_misses));
    for ((name, missed, mean), p) in others.iter().zip(stats::holm(&p_values)) {
        let less = |own: &[f64], base: &[f64]| {
            let differences: Vec<f64> = own.iter().zip(base).map(|(own, base)| own - base).collect();
            shown(stats::mean(&differences), 2)
        };
        let _ = writeln!(
            text,
            "{} {} | {} | {} | {} | {} |",
            line(name, missed),
            less(&missed.0, &base_misses.0),
            less(&missed.1, &base_misses.1),
            shown(stats::paired_ratio(&mean.0, &base_means.0), 3),
            shown(stats::paired_ratio(&mean.1, &base_means.1), 3),
            if p < 0.05 { "yes" } else { "no" },
        );
    }
    text
}

/// By episode: live, and simulated.
type Both = (Vec<f64>, Vec<f64>);

/// The head of a table of these columns.
fn head(columns: &str) -> String {
    format!("| {columns} |\n|{}\n", "---|".repeat(columns.split(" | ").count()))
}

/// The rows of each policy, in the order in which policies come first.
fn by_policy(rows: &[Row]) -> Vec<(&str, Vec<&Row>)> {
    let mut policies: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in rows {
        match policies.iter_mut().find(|(name, _)| *name == row.policy) {
            Some((_, own)) => own.push(row),
            None => policies.push((&row.policy, vec![row])),
        }
    }
    policies
}

/// 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    (values[last / 2] + values[values.len() / 2]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(policy: &str, seed: u64, mean_ms: f64, slo_attainment: f64) -> Row {
        Row {
            policy: policy.into(),
            seed,
            live: Report { mean_ms, p99_ms: 40.0, slo_attainment, mean_batch: 2.0, ..Report::default() },
            simulated: Simulated { mean_ms: 9.0, p99_ms: 50.0, slo_attainment: 0.95, ..Simulated::default() },
        }
    }

    #[test]
    fn the_tables_hold_medians_errors_and_paired_differences() {
        let mut rows = vec![row("mct", 1, 10.0, 0.9), row("mct", 2, 30.0, 0.9), row("mct", 3, 8.0, 0.9)];
        rows.extend([row("wrr", 1, 5.0, 0.79), row("wrr", 2, 15.0, 0.8), row("wrr", 3, 4.0, 0.81)]);
        let text = page(&rows, "mct");
        for line in [
            "| mct | 10.00 | 9.00 | -10.0 % | 40.00 | 50.00 | +25.0 % | 90.0 % | 95.0 % | +5.0 | 2.00 | 0.00 |",
            "| mct | 12.5 % | 70.0 % | 25.0 % | 25.0 % | 5.0 | 5.0 |",
            "| mct | 10.00 % | 5.00 % | - | - | - | - | - |",
            "| wrr | 20.00 % | 5.00 % | 10.00 [7.52, 12.48] | 0.00 [0.00, 0.00] | 0.500 [0.500, 0.500] | 1.000 [1.000, 1.000] | yes |",
        ] {
            assert!(text.lines().any(|own| own == line), "{text}\nlacks\n{line}");
        }
        for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
            let columns: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
            assert!(columns.iter().all(|count| *count == columns[0]), "{table}");
        }
    }
}
