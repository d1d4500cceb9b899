//! What each policy is worth against the best rule, at a glance.

use yardmaster_env::plot::{Interval, forest};

use super::page::Page;

/// Policies for one scenario, and those for several.
const KINDS: [&str; 2] = ["a policy of the scenario's own", "one policy for many scenarios"];

/// Ratios with their intervals as an SVG, by scenario.
pub(super) fn picture(page: &Page<'_>) -> String {
    let rows: Vec<Interval> = (page.ratios())
        .map(|(entry, test, ratio)| Interval {
            label: test.scenario.clone(),
            ratio: ratio.ratio,
            ends: ratio.ci95,
            kind: usize::from(!entry.is_own()),
        })
        .collect();
    let most = rows.iter().map(|row| row.kind + 1).max().unwrap_or_default();
    let episodes = page.args.episodes;
    let note = format!(
        "{episodes} test episodes a scenario, the same for all; lines are paired 95 % intervals. The best rule of each scenario was tuned for it and chosen on \
         validation episodes. Left of 1 the policy is better."
    );
    let title = "Learned policies against the best tuned rule of each scenario";
    forest(title, "objective of the policy / that of the best rule", &KINDS[..most], &rows, &[note])
}
