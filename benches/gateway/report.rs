//! The table: what each took, what was promised, whether it was met.

/// A line.
struct Row {
    name: String,
    /// One for each target.
    cells: Vec<String>,
    ratio: String,
    bound: String,
    is_met: Option<bool>,
}

/// What was seen so far.
#[derive(Default)]
pub struct Report {
    /// Of the targets; the first is the gateway.
    pub columns: Vec<String>,
    rows: Vec<Row>,
    /// What did not work.
    pub failures: Vec<String>,
}

/// A figure that is compared with its bound.
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Nothing is promised.
    None,
}

impl Bound {
    fn is_met(&self, figure: f64) -> Option<bool> {
        match self {
            Self::AtMost(bound) => Some(figure <= *bound),
            Self::AtLeast(bound) => Some(figure >= *bound),
            Self::None => None,
        }
    }

    fn shown(&self, unit: &str) -> String {
        match self {
            Self::AtMost(bound) => format!("≤ {bound}{unit}"),
            Self::AtLeast(bound) => format!("≥ {bound}{unit}"),
            Self::None => "—".to_owned(),
        }
    }
}

impl Report {
    /// A line whose figure is a ratio, one for each round; their median counts.
    pub fn ratios(&mut self, name: &str, cells: Vec<String>, ratios: &[f64], bound: &Bound) {
        if ratios.is_empty() {
            self.add(name, cells, "—".to_owned(), bound.shown(""), None);
            return;
        }
        let middle = median(ratios);
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ratio = format!("{middle:.2} ({least:.2}–{most:.2})");
        self.add(name, cells, ratio, bound.shown(""), bound.is_met(middle));
    }

    /// A line whose figure is the gateway's own.
    pub fn own(&mut self, name: &str, figures: &[f64], unit: &str, bound: &Bound) {
        let middle = median(figures);
        let cells = vec![format!("{middle:.1}{unit}")];
        let is_met = bound.is_met(middle);
        self.add(name, cells, "—".to_owned(), bound.shown(unit), is_met);
    }

    /// A line that could not be filled.
    pub fn failed(&mut self, name: &str, why: &str) {
        eprintln!("{name}: {why}");
        self.failures.push(format!("{name}: {why}"));
    }

    fn add(
        &mut self,
        name: &str,
        cells: Vec<String>,
        ratio: String,
        bound: String,
        is_met: Option<bool>,
    ) {
        // Shown at once, so that a run that is cut off has said something.
        let all = cells.join(" | ");
        eprintln!(
            "{name}: {all}; ratio {ratio}, bound {bound}: {}",
            word(is_met)
        );
        self.rows.push(Row {
            name: name.to_owned(),
            cells,
            ratio,
            bound,
            is_met,
        });
    }

    /// Whether nothing was run.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.failures.is_empty()
    }

    /// The table in Markdown.
    pub fn print(&self) {
        let columns = self.columns.join(" | ");
        println!("| Workload | {columns} | gateway ÷ nginx | Bound | Result |");
        println!("|{}", " --- |".repeat(self.columns.len() + 4));
        for row in &self.rows {
            let mut cells = row.cells.clone();
            cells.resize(self.columns.len(), "—".to_owned());
            let (cells, met) = (cells.join(" | "), word(row.is_met));
            println!(
                "| {} | {cells} | {} | {} | {met} |",
                row.name, row.ratio, row.bound
            );
        }
    }
}

fn word(is_met: Option<bool>) -> &'static str {
    match is_met {
        Some(true) => "met",
        Some(false) => "NOT MET",
        None => "—",
    }
}

/// The middle of some figures; 0 of none.
pub fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    let (low, high) = (figures.len().saturating_sub(1) / 2, figures.len() / 2);
    match (figures.get(low), figures.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

/// Microseconds as they are shown.
pub fn shown(micros: f64) -> String {
    if micros < 1000.0 {
        format!("{micros:.1} µs")
    } else {
        format!("{:.2} ms", micros / 1000.0)
    }
}
