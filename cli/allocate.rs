//! `yardmaster allocate`: solves a static allocation and prints it.

use std::fmt::Write;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use yardmaster_agent::optimise::allocation::{self, Allocation, Answer, Objective, Placed, Transfer};

use crate::args::Allocate;
use crate::file::text;
use crate::output::Output;

/// Runs the command.
pub(crate) fn run(args: &Allocate) -> Result<()> {
    let [json] = Output::all([("--json", args.json.as_deref())])?;
    let answer = allocation::solve(&text(&args.file)?, &args.file.display().to_string())?;
    for note in answer.allocation.iter().flat_map(|allocation| &allocation.notes) {
        eprintln!("note: {note}");
    }
    if !json.as_ref().is_some_and(Output::is_stdout) {
        Output::Stdout.write(tables(&answer))?;
    }
    match json {
        Some(json) => json.write(&(serde_json::to_string_pretty(&answer)? + "\n")),
        None => Ok(()),
    }
}

fn tables(answer: &Answer) -> String {
    let mut parts = Vec::new();
    parts.extend(answer.allocation.as_ref().map(allocation_table));
    parts.extend(answer.placement.as_ref().map(|placed| placement_table(placed)));
    parts.extend(answer.transfer.as_ref().map(transfer_table));
    parts.join("\n")
}

/// What each task gets, and what that uses.
fn allocation_table(allocation: &Allocation) -> String {
    let mut text = headline(allocation) + "\n\n";
    let mut tasks = table(["task", "units", "demand", "most", "cost"]);
    for row in &allocation.tasks {
        let most = row.most.map_or("-".to_owned(), shown);
        tasks.add_row([row.name.clone(), shown(row.units), shown(row.demand), most, shown(row.cost)]);
        for way in &row.ways {
            tasks.add_row([format!("  {}", way.name), shown(way.units), "".into(), "".into(), "".into()]);
        }
    }
    let total: f64 = allocation.tasks.iter().map(|row| row.units).sum();
    tasks.add_row(["total".into(), shown(total), "".into(), "".into(), shown(allocation.cost)]);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", aligned(tasks));
    if !allocation.resources.is_empty() {
        let mut resources = table(["resource", "used", "capacity", "part"]);
        for row in &allocation.resources {
            let part = if row.capacity > 0.0 { 100.0 * row.used / row.capacity } else { 0.0 };
            resources.add_row([
                row.name.clone(),
                shown(row.used),
                shown(row.capacity),
                format!("{part:.1} %"),
            ]);
        }
        let _ = writeln!(text, "{}", aligned(resources));
    }
    text
}

fn headline(allocation: &Allocation) -> String {
    let value = shown(allocation.value);
    let text = match allocation.objective {
        Objective::MinimumCost => format!("minimum cost: {value}"),
        Objective::MinimumCompletionTime => format!("minimum completion time: {value} s"),
        Objective::MinimumShortfall => format!("minimum shortfall: {value} (missing units times weight)"),
        Objective::MaximumTotal => format!("maximum total: {value} (units times weight)"),
        Objective::MaxMinFairness => format!("max-min fairness: least units over weight {value}"),
    };
    match (allocation.objective, allocation.within_s) {
        (Objective::MinimumCompletionTime, _) | (_, None) => text,
        (_, Some(within_s)) => format!("{text}, within {} s", shown(within_s)),
    }
}

fn placement_table(placed: &[Placed]) -> String {
    let mut rows = table(["task", "node", "load before", "load after"]);
    for row in placed {
        let cells = [row.task.to_string(), row.node.clone(), shown(row.load_before), shown(row.load_after)];
        rows.add_row(cells);
    }
    format!("least loaded node\n\n{}\n", aligned(rows))
}

fn transfer_table(transfer: &Transfer) -> String {
    let price = if transfer.bytes.is_some() { "transfer (s)" } else { "delay per unit (s)" };
    let mut rows = table(["path", price]);
    for row in &transfer.paths {
        rows.add_row([row.name.clone(), shown(row.price_s)]);
    }
    let what = transfer.bytes.map_or("the least delay per unit".to_owned(), |bytes| format!("{bytes} bytes"));
    let mut text = format!("path for {what}: {}\n\n{}\n", transfer.path, aligned(rows));
    for point in &transfer.best_from {
        let _ = writeln!(text, "from {} bytes on: {}", shown(point.bytes), point.path);
    }
    text
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn aligned(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Six significant digits at least, without trailing zeros.
fn shown(value: f64) -> String {
    let decimals = (6 - value.abs().max(1e-9).log10().ceil() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if short == "-0" { "0".into() } else { short.to_owned() }
}
