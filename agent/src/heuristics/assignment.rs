//! The assignment problem.

/// Assigns each row a column of its own such that the sum of costs is least, by shortest augmenting paths (Kuhn 1955,
/// Jonker and Volgenant 1987): O(rows^2 columns).
///
/// `costs`: (rows, columns), finite, with at least as many columns as rows. Gives the column of each row.
pub fn assign(costs: &[f64], columns: usize) -> Vec<usize> {
    let rows = costs.len() / columns.max(1);
    assert!(rows <= columns, "{rows} rows have only {columns} columns");
    const NONE: usize = usize::MAX;
    let mut row_price = vec![0.0; rows];
    let mut column_price = vec![0.0; columns];
    let mut row_of = vec![NONE; columns];
    let mut reached = vec![false; columns];
    let mut distance = vec![f64::INFINITY; columns];
    let mut before = vec![NONE; columns];
    for start in 0..rows {
        reached.fill(false);
        distance.fill(f64::INFINITY);
        let (mut row, mut from) = (start, NONE);
        // Grow the tree of shortest paths until it reaches a column that is free.
        let end = loop {
            let (mut nearest, mut least) = (NONE, f64::INFINITY);
            for column in (0..columns).filter(|&column| !reached[column]) {
                let reduced = costs[row * columns + column] - row_price[row] - column_price[column];
                if reduced < distance[column] {
                    (distance[column], before[column]) = (reduced, from);
                }
                if distance[column] < least {
                    (nearest, least) = (column, distance[column]);
                }
            }
            row_price[start] += least;
            for column in 0..columns {
                if reached[column] {
                    row_price[row_of[column]] += least;
                    column_price[column] -= least;
                } else {
                    distance[column] -= least;
                }
            }
            reached[nearest] = true;
            if row_of[nearest] == NONE {
                break nearest;
            }
            (row, from) = (row_of[nearest], nearest);
        };
        // Turn the path round.
        let mut column = end;
        while column != NONE {
            let previous = before[column];
            row_of[column] = if previous == NONE { start } else { row_of[previous] };
            column = previous;
        }
    }
    let mut chosen = vec![NONE; rows];
    for (column, &row) in row_of.iter().enumerate().filter(|(_, row)| **row != NONE) {
        chosen[row] = column;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cheapest_permutation_is_found() {
        let costs = [4.0, 1.0, 3.0, 2.0, 0.0, 5.0, 3.0, 2.0, 2.0];
        assert_eq!(assign(&costs, 3), [1, 0, 2]);
        assert_eq!(assign(&[], 3), [0_usize; 0]);
    }

    /// The least sum over all injections, by trying them.
    fn least(costs: &[f64], columns: usize, row: usize, taken: u32) -> f64 {
        if row * columns == costs.len() {
            return 0.0;
        }
        let free = (0..columns).filter(|column| taken & (1 << column) == 0);
        free.map(|column| costs[row * columns + column] + least(costs, columns, row + 1, taken | 1 << column))
            .fold(f64::INFINITY, f64::min)
    }

    proptest! {
        #[test]
        fn no_other_assignment_costs_less(
            (columns, costs) in (1_usize..6).prop_flat_map(|columns| {
                (1..=columns).prop_flat_map(move |rows| {
                    (Just(columns), proptest::collection::vec(0_u32..20, rows * columns))
                })
            }),
        ) {
            let costs: Vec<f64> = costs.into_iter().map(f64::from).collect();
            let chosen = assign(&costs, columns);
            let sum: f64 = chosen.iter().enumerate().map(|(row, column)| costs[row * columns + column]).sum();
            prop_assert_eq!(sum, least(&costs, columns, 0, 0));
            let mut sorted = chosen.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), chosen.len());
        }
    }
}
