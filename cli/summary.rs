//! What `yardmaster simulate` prints: the measures of one schedule, by what they are about.

use yardmaster_env::metrics::{KindUse, Metrics};

/// Lines under a heading: what, and its value.
struct Section {
    heading: &'static str,
    rows: Vec<(String, String)>,
}

impl Section {
    fn new(heading: &'static str) -> Section {
        Section { heading, rows: Vec::new() }
    }

    fn row(mut self, what: &str, value: String) -> Section {
        self.rows.push((what.to_owned(), value));
        self
    }

    /// A row that is left out where it says nothing.
    fn row_if(self, says: bool, what: &str, value: impl FnOnce() -> String) -> Section {
        if says { self.row(what, value()) } else { self }
    }
}

/// The measures as text; a section without anything to say is left out.
pub(crate) fn text(title: &str, metrics: &Metrics, decisions_per_s: f64) -> String {
    let sections = [
        completion(metrics, decisions_per_s),
        service_levels(metrics),
        machines(metrics),
        cost(metrics),
        fairness(metrics),
        waste(metrics),
    ];
    let mut text = format!("{title}\n");
    for Section { heading, rows } in sections.into_iter().filter(|section| !section.rows.is_empty()) {
        text += &format!("\n{heading}\n");
        for (what, value) in rows {
            text += &format!("  {what:<19} {value}\n");
        }
    }
    text
}

fn completion(m: &Metrics, decisions_per_s: f64) -> Section {
    let [mean, p50, p95, p99] = [m.mean_jct_s, m.p50_jct_s, m.p95_jct_s, m.p99_jct_s].map(time);
    let slowdown = format!("mean {:.2}, largest {:.1}", m.mean_bounded_slowdown, m.max_bounded_slowdown);
    Section::new("completion")
        .row("jobs finished", format!("{} ({} refused, {} dropped)", m.jobs, m.refused, m.dropped))
        .row("completion time", format!("mean {mean}, p50 {p50}, p95 {p95}, p99 {p99}"))
        .row("wait", format!("mean {}, longest {}", time(m.mean_wait_s), time(m.max_wait_s)))
        .row("bounded slowdown", slowdown)
        .row("makespan", time(m.makespan_s))
        .row_if(m.deadlines == 0 && m.goodput_samples_per_s > 0.0, "throughput", || goodput(m))
        .row_if(m.mean_batch > 0.0, "mean batch", || format!("{:.2} requests", m.mean_batch))
        .row("decisions", format!("{} ({decisions_per_s:.0} a second)", m.decisions))
}

fn service_levels(m: &Metrics) -> Section {
    let section = Section::new("service levels");
    if m.deadlines == 0 {
        return section;
    }
    let met = format!("{} of {} that have one", percent(share(m.deadlines_met, m.deadlines)), m.deadlines);
    section.row("deadlines met", met).row("goodput", format!("{} within their deadline", goodput(m)))
}

/// Jobs a second, and samples where there is training.
fn goodput(m: &Metrics) -> String {
    let jobs = match m.goodput_per_s {
        rate if rate < 0.1 => format!("{} jobs/h", number(3600.0 * rate)),
        rate => format!("{} jobs/s", number(rate)),
    };
    if m.goodput_samples_per_s > 0.0 {
        format!("{jobs}, {} samples/s", number(m.goodput_samples_per_s))
    } else {
        jobs
    }
}

fn machines(m: &Metrics) -> Section {
    let machines = &m.machines;
    let section = Section::new("machines")
        .row("utilization", format!("{} of device-time in service", percent(machines.device_utilization)));
    let kinds = machines.kinds.iter().filter(|kind| kind.service_device_h > 0.0);
    let section =
        kinds.fold(section, |section, kind| section.row(&format!("  {}", kind.kind), of_kind(kind)));
    let idle = machines.idle_while_waiting_device_h;
    section
        .row_if(idle > 0.0, "idle while waiting", || {
            let share = percent(machines.idle_while_waiting_share);
            format!("{share} of device-time, {}", device_time(idle))
        })
        .row_if(idle > 0.0 && machines.fragmentation.is_some(), "fragmentation", || {
            let share = percent(machines.fragmentation.unwrap_or(0.0));
            format!("{share} of that could have run nothing that waited")
        })
        .row_if(machines.scattered_share > 0.0, "scattered gangs", || {
            format!("{} started on more nodes than needed", percent(machines.scattered_share))
        })
}

fn of_kind(kind: &KindUse) -> String {
    format!("{} of {}", percent(kind.utilization), device_time(kind.service_device_h))
}

fn cost(m: &Metrics) -> Section {
    let (kwh, dollars) = (m.machines.energy_kwh, m.machines.dollars);
    let each = |total: f64| total / m.jobs.max(1) as f64;
    let price = |dollars: f64| format!("{} USD", number(dollars));
    let both = |what: fn(f64) -> String, total| format!("{}, {} a job", what(total), what(each(total)));
    Section::new("cost").row_if(kwh > 0.0, "energy", || both(energy, kwh)).row_if(
        dollars > 0.0,
        "price",
        || both(price, dollars),
    )
}

fn fairness(m: &Metrics) -> Section {
    let fairness = &m.fairness;
    Section::new("fairness")
        .row_if(m.jobs > 1, "Jain, jobs", || format!("{:.3} of slowdowns", fairness.jain_jobs_slowdown))
        .row_if(fairness.users > 1, "Jain, users", || {
            format!("{:.3} of mean slowdowns, {} users", fairness.jain_users_slowdown, fairness.users)
        })
        .row_if(fairness.rho_jobs > 1, "finish-time rho", || {
            let (mean, p95, max) = (fairness.mean_rho, fairness.p95_rho, fairness.max_rho);
            format!("mean {mean:.2}, p95 {p95:.2}, largest {max:.2} (above 1: worse than alone on 1/N)")
        })
}

fn waste(m: &Metrics) -> Section {
    let wasted = &m.wasted;
    let cut = wasted.preemptions + wasted.cut_off + wasted.out_of_memory > 0;
    Section::new("waste")
        .row_if(cut, "cut off", || {
            let (preempted, failed, memory) = (wasted.preemptions, wasted.cut_off, wasted.out_of_memory);
            format!("{preempted} preempted, {failed} by failures, {memory} out of memory")
        })
        .row_if(wasted.restart_waste_device_h > 0.0, "restarts", || {
            device_time(wasted.restart_waste_device_h)
        })
        .row_if(wasted.failure_waste_device_h > 0.0, "failures", || {
            device_time(wasted.failure_waste_device_h)
        })
        .row_if(wasted.out_of_memory_waste_device_h > 0.0, "out of memory", || {
            device_time(wasted.out_of_memory_waste_device_h)
        })
        .row_if(wasted.waste_share > 0.0, "in all", || {
            format!("{} of device-time in use", percent(wasted.waste_share))
        })
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Milliseconds below a second.
pub(crate) fn time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{} ms", number(1e3 * seconds)) } else { format!("{} s", number(seconds)) }
}

/// Device-seconds below an hour.
fn device_time(hours: f64) -> String {
    if hours < 1.0 {
        format!("{} device-seconds", number(3600.0 * hours))
    } else {
        format!("{} device-hours", number(hours))
    }
}

/// Watt-hours below a tenth of a kilowatt-hour.
fn energy(kwh: f64) -> String {
    if kwh < 0.1 { format!("{} Wh", number(1e3 * kwh)) } else { format!("{} kWh", number(kwh)) }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Four significant digits.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use yardmaster_env::metrics::{Fairness, Machines, Wasted};

    use super::*;

    fn headings(metrics: &Metrics) -> Vec<String> {
        let text = text("a on b", metrics, 1.0);
        let headings = text.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with(' '));
        headings.map(str::to_owned).collect()
    }

    #[test]
    fn sections_that_say_nothing_are_left_out() {
        let mut metrics = Metrics { jobs: 1, ..Metrics::default() };
        assert_eq!(headings(&metrics), ["completion", "machines"]);
        metrics.deadlines = 2;
        metrics.machines = Machines { energy_kwh: 1.0, ..Machines::default() };
        metrics.fairness = Fairness { users: 2, ..Fairness::default() };
        metrics.wasted = Wasted { cut_off: 1, ..Wasted::default() };
        let all = ["completion", "service levels", "machines", "cost", "fairness", "waste"];
        assert_eq!(headings(&metrics), all);
    }

    #[test]
    fn small_quantities_have_smaller_units() {
        assert_eq!([0.002, 2.5, 0.0].map(time), ["2.000 ms", "2.500 s", "0 ms"]);
        assert_eq!([0.5, 2.0].map(device_time), ["1800 device-seconds", "2.000 device-hours"]);
        assert_eq!([0.05, 2.0].map(energy), ["50.00 Wh", "2.000 kWh"]);
    }

    #[test]
    fn numbers_have_four_digits() {
        assert_eq!([0.0, 0.012_345, 12.3456, 123_456.0].map(number), ["0", "0.01235", "12.35", "123456"]);
    }
}
