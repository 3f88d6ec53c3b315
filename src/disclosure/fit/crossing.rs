//! Least squares over a crossing of communes and procedure groups, in closed form.
//!
//! Let `x` be the counts by both, `C` communes and `G` groups. Every such table is a sum of four parts that are
//! orthogonal to each other: the mean, what is the same along a commune, what is the same along a group, and the rest.
//! Each measured table sees some of them: the unit sees the mean; communes see the mean and the second part, with `G`
//! cells in each; groups the mean and the third, with `C` cells in each; cells see all four. Noise that is independent
//! and of one variance within a table is so in every orthogonal part, too. So each part is estimated by itself, as the
//! mean of what the tables say about it, weighted by precision:
//!
//! | part | from cells (variance `v`) | from communes `r` | from groups `k` | from the unit `u` |
//! |---|---|---|---|---|
//! | total | `C G v` | `C r` | `G k` | `u` |
//! | a commune's difference | `G v` | `r` | | |
//! | a group's difference | `C v` | | `k` | |
//! | the rest of a cell | `v` | | | |
//!
//! and the variances of the fitted counts follow by adding up the parts, since these are uncorrelated.

/// How many tables a crossing has: unit, communes, groups, cells.
pub const TABLES: usize = 4;

/// How many communes and groups there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// Rows.
    pub communes: usize,
    /// Columns.
    pub groups: usize,
}

/// Counts of one bin, each with independent noise of the same variance when measured, and with that variance when
/// fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// One for each row of the table.
    pub counts: Vec<f64>,
    /// Of each count.
    pub variance: f64,
}

/// An estimate and its variance, made of independent ones.
#[derive(Default)]
struct Mean {
    weighted: f64,
    precision: f64,
}

impl Mean {
    fn add(&mut self, value: f64, variance: f64) {
        self.weighted += value / variance;
        self.precision += 1.0 / variance;
    }

    fn value(&self) -> f64 {
        if self.precision > 0.0 { self.weighted / self.precision } else { 0.0 }
    }

    fn variance(&self) -> f64 {
        1.0 / self.precision
    }
}

/// Differences from the mean along one side of the crossing, and their variance before they were made to add up to zero.
struct Differences {
    values: Vec<f64>,
    variance: f64,
}

impl Crossing {
    /// The best linear unbiased estimate of each table that is determined; tables in the order unit, communes, groups,
    /// cells. Variances are above zero.
    pub fn solve(&self, measured: &[Option<Reading>; TABLES]) -> [Option<Reading>; TABLES] {
        let [unit, communes, groups, cells] = measured;
        let (c, g) = (self.communes as f64, self.groups as f64);
        let mut total = Mean::default();
        for (reading, rows) in [(unit, 1.0), (communes, c), (groups, g), (cells, c * g)] {
            if let Some(reading) = reading {
                total.add(reading.counts.iter().sum(), rows * reading.variance);
            }
        }
        if total.precision <= 0.0 {
            return [const { None }; TABLES];
        }
        // The pass up: the cells, added up along both sides.
        let (along_communes, along_groups) = match cells {
            Some(cells) => self.sums(cells),
            None => (None, None),
        };
        let by_commune = differences(along_communes.as_ref(), communes.as_ref());
        let by_group = differences(along_groups.as_ref(), groups.as_ref());
        // The pass down.
        let side = |differences: &Differences, rows: f64| Reading {
            counts: differences.values.iter().map(|value| total.value() / rows + value).collect(),
            variance: total.variance() / (rows * rows) + differences.variance * (1.0 - 1.0 / rows),
        };
        let cells = cells.as_ref().zip(along_communes.as_ref().zip(along_groups.as_ref())).and_then(|(cells, sums)| {
            let parts = (by_commune.as_ref()?, by_group.as_ref()?);
            Some(self.cells(cells, sums, &total, parts))
        });
        [
            Some(Reading { counts: vec![total.value()], variance: total.variance() }),
            by_commune.as_ref().map(|differences| side(differences, c)),
            by_group.as_ref().map(|differences| side(differences, g)),
            cells,
        ]
    }

    /// The sums of the cells of each commune, and of each group.
    fn sums(&self, cells: &Reading) -> (Option<Reading>, Option<Reading>) {
        let mut groups = vec![0.0; self.groups];
        let communes = cells.counts.chunks(self.groups.max(1)).map(|row| {
            groups.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
            row.iter().sum()
        });
        let communes = communes.collect();
        let variance = |cells_added: usize| cells.variance * cells_added as f64;
        (
            Some(Reading { counts: communes, variance: variance(self.groups) }),
            Some(Reading { counts: groups, variance: variance(self.communes) }),
        )
    }

    fn cells(
        &self,
        measured: &Reading,
        (communes, groups): (&Reading, &Reading),
        total: &Mean,
        (by_commune, by_group): (&Differences, &Differences),
    ) -> Reading {
        let (c, g) = (self.communes as f64, self.groups as f64);
        let sum: f64 = communes.counts.iter().sum();
        // What a cell gets beside its own measurement: the fitted parts, less what the measured cells say of them.
        let move_of = |differences: &Differences, sums: &Reading, in_row: f64, rows: f64| -> Vec<f64> {
            let measured = sums.counts.iter().map(|own| own - sum / rows);
            differences.values.iter().zip(measured).map(|(fitted, measured)| (fitted - measured) / in_row).collect()
        };
        let of_communes = move_of(by_commune, communes, g, c);
        let of_groups = move_of(by_group, groups, c, g);
        let of_all = (total.value() - sum) / (c * g);
        let rows = measured.counts.chunks(self.groups.max(1)).zip(&of_communes);
        let counts = rows.flat_map(|(row, of_commune)| {
            row.iter().zip(&of_groups).map(move |(count, of_group)| count + of_all + of_commune + of_group)
        });
        let variance = total.variance() / (c * g).powi(2)
            + by_commune.variance * (1.0 - 1.0 / c) / (g * g)
            + by_group.variance * (1.0 - 1.0 / g) / (c * c)
            + measured.variance * (1.0 - 1.0 / c) * (1.0 - 1.0 / g);
        Reading { counts: counts.collect(), variance }
    }
}

/// What tells the rows of one side apart, from the sums of cells and from the table of that side.
fn differences(from_cells: Option<&Reading>, measured: Option<&Reading>) -> Option<Differences> {
    let mut readings = [from_cells, measured].into_iter().flatten();
    let first = readings.next()?;
    let mut precision = 1.0 / first.variance;
    let mut values: Vec<f64> = centred(first).map(|value| value / first.variance).collect();
    for reading in readings {
        precision += 1.0 / reading.variance;
        values.iter_mut().zip(centred(reading)).for_each(|(sum, value)| *sum += value / reading.variance);
    }
    values.iter_mut().for_each(|value| *value /= precision);
    Some(Differences { values, variance: 1.0 / precision })
}

fn centred(reading: &Reading) -> impl Iterator<Item = f64> + '_ {
    let mean = reading.counts.iter().sum::<f64>() / reading.counts.len().max(1) as f64;
    reading.counts.iter().map(move |count| count - mean)
}
