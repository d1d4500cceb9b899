//! Lists of node names as Slurm writes them: `gpu[1-3,07-09],login1`.

/// Names that one list may stand for; more are cut off, as no job has as many nodes.
const MOST: usize = 100_000;

/// The names that a list stands for, in its order. What is not understood stands for itself.
pub(super) fn expand(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in split(list) {
        expand_part(part, &mut names);
    }
    names.truncate(MOST);
    names
}

/// The parts between commas that are in no bracket.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    let parts = list.split(move |character: char| {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// One part; of several brackets each is multiplied out in turn.
fn expand_part(part: &str, names: &mut Vec<String>) {
    let bracket = part.split_once('[').and_then(|(prefix, rest)| {
        let (inside, suffix) = rest.split_once(']')?;
        Some((prefix, inside, suffix))
    });
    let Some((prefix, inside, suffix)) = bracket else {
        names.push(part.to_owned());
        return;
    };
    for number in numbers(inside) {
        if names.len() >= MOST {
            return;
        }
        expand_part(&format!("{prefix}{number}{suffix}"), names);
    }
}

/// `1-3,07` as `1`, `2`, `3`, `07`: numbers keep the width of the first of their range.
fn numbers(inside: &str) -> Vec<String> {
    let mut all = Vec::new();
    for range in inside.split(',') {
        let ends = range.split_once('-').unwrap_or((range, range));
        match (ends.0.parse::<u64>(), ends.1.parse::<u64>()) {
            (Ok(first), Ok(last)) => {
                let width = ends.0.len();
                let numbers = (first..=last).take(MOST);
                all.extend(numbers.map(|number| format!("{number:0width$}")));
            }
            _ => all.push(range.to_owned()),
        }
    }
    all
}

/// The tasks of an array that still wait, `1-3,7%2` as Slurm writes them; the number of those that may run at once is
/// Slurm's business. At most `most`; a list that Slurm has cut off (`...`) ends with what is whole.
pub(super) fn tasks(list: &str, most: usize) -> Vec<u32> {
    let list = list.split('%').next().unwrap_or_default();
    let mut tasks = Vec::new();
    for range in list.split(',') {
        let (range, step) = match range.split_once(':') {
            Some((range, step)) => (range, step.parse().unwrap_or(1).max(1)),
            None => (range, 1),
        };
        let ends = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (ends.0.trim().parse::<u32>(), ends.1.trim().parse::<u32>()) else {
            break;
        };
        tasks.extend((first..=last).step_by(step).take(most.saturating_sub(tasks.len())));
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_nodes() {
        assert_eq!(expand("gpu1"), ["gpu1"]);
        assert_eq!(expand("gpu[1-3,07-08],login"), ["gpu1", "gpu2", "gpu3", "gpu07", "gpu08", "login"]);
        assert_eq!(expand("r[1-2]n[1-2]"), ["r1n1", "r1n2", "r2n1", "r2n2"]);
        assert_eq!(expand(""), Vec::<String>::new());
        assert_eq!(expand("odd[x-y]"), ["oddx-y"]);
        assert_eq!(expand("open[1-2"), ["open[1-2"]);
        assert!(expand("n[1-999999999999]").len() <= MOST);
    }

    #[test]
    fn tasks_of_arrays() {
        assert_eq!(tasks("1-3,7", 100), [1, 2, 3, 7]);
        assert_eq!(tasks("0-8:4%2", 100), [0, 4, 8]);
        assert_eq!(tasks("0-999999", 4), [0, 1, 2, 3]);
        assert_eq!(tasks("1,2,3-...", 100), [1, 2]);
        assert!(tasks("", 100).is_empty());
    }
}
