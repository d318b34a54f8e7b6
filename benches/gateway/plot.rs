//! Draws the rows of a sweep as small multiples on logarithmic axes, as SVG by hand.

use std::fmt::Write as _;

/// A panel's plot area and the room around it, in pixels.
const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 40.0;
const ACROSS: f64 = WIDTH + LEFT + 26.0;
const DOWN: f64 = HEIGHT + TOP + 74.0;

/// Colours that can be told apart without colour vision, one for each line.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555555"];

/// One line of a panel: its name and points.
type Line = (String, Vec<(f64, f64)>);

struct Panel {
    name: String,
    unit: String,
    lines: Vec<Line>,
}

/// Reads `from` and writes `to`.
///
/// # Errors
///
/// Where one of them cannot be read or written, or a row is no row.
pub fn draw(from: &str, to: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(from).map_err(|error| format!("{from}: {error}"))?;
    let panels = panels(&text).ok_or_else(|| format!("{from}: this is no sweep"))?;
    std::fs::write(to, svg(&panels)).map_err(|error| format!("{to}: {error}"))?;
    println!("Written: {to}");
    Ok(())
}

fn panels(text: &str) -> Option<Vec<Panel>> {
    let mut panels: Vec<Panel> = Vec::new();
    for row in text.lines().skip(1) {
        let mut fields = row.split(',');
        let (name, line) = fields.next()?.split_once('/')?;
        let point = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let unit = fields.next()?;
        if panels.iter().all(|panel| panel.name != name) {
            panels.push(Panel {
                name: name.to_owned(),
                unit: unit.to_owned(),
                lines: Vec::new(),
            });
        }
        let panel = panels.iter_mut().find(|panel| panel.name == name)?;
        match panel.lines.iter_mut().find(|(known, _)| known == line) {
            Some((_, points)) => points.push(point),
            None => panel.lines.push((line.to_owned(), vec![point])),
        }
    }
    (!panels.is_empty()).then_some(panels)
}

fn svg(panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(2);
    let (width, height) = (2.0 * ACROSS, DOWN * float(rows));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    // A line has the same colour in each panel.
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in panels.iter().flat_map(|panel| &panel.lines) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    for (number, panel) in panels.iter().enumerate() {
        let (x, y) = (ACROSS * float(number % 2), DOWN * float(number / 2));
        let _ = writeln!(out, "<g transform=\"translate({} {})\">", x + LEFT, y + TOP);
        panel.draw(&names, &mut out);
        out += "</g>\n";
    }
    out + "</svg>\n"
}

/// A logarithmic axis: the decimal logarithms at its ends, and its length.
struct Axis {
    low: f64,
    high: f64,
    length: f64,
}

impl Axis {
    /// One that holds all values; a 0 stands where half of the least other value would.
    fn of(values: impl Iterator<Item = f64>, length: f64, whole_decades: bool) -> (Self, f64) {
        let values: Vec<f64> = values.collect();
        let positive = values.iter().copied().filter(|value| *value > 0.0);
        let least = positive.clone().fold(f64::INFINITY, f64::min);
        let most = positive.fold(f64::NEG_INFINITY, f64::max);
        let zero = least / 2.0;
        let has_zero = values.contains(&0.0);
        let (low, high) = (if has_zero { zero } else { least }.log10(), most.log10());
        let (low, high) = if whole_decades {
            (low.floor(), high.ceil())
        } else {
            (low, high)
        };
        let high = if high - low < 0.1 { low + 1.0 } else { high };
        (Self { low, high, length }, zero)
    }

    fn at(&self, value: f64) -> f64 {
        (value.log10() - self.low) / (self.high - self.low) * self.length
    }

    fn holds(&self, value: f64) -> bool {
        (-0.01..=self.length + 0.01).contains(&self.at(value))
    }

    /// Where its lines are, and whether they have a label.
    fn ticks(&self) -> Vec<(f64, bool)> {
        let mut out = Vec::new();
        let mut decade = 10_f64.powf(self.low.floor());
        let is_short = self.high - self.low <= 2.0;
        while decade.log10() <= self.high + 0.001 {
            for digit in 1..10_u8 {
                let value = decade * f64::from(digit);
                if self.holds(value) {
                    out.push((value, digit == 1 || (is_short && matches!(digit, 2 | 5))));
                }
            }
            decade *= 10.0;
        }
        out
    }
}

impl Panel {
    fn draw(&self, names: &[&str], out: &mut String) {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let (across, zero) = Axis::of(points().map(|point| point.0), WIDTH, false);
        let (up, _) = Axis::of(points().map(|point| point.1), HEIGHT, true);
        let _ = writeln!(
            out,
            "<text y=\"-22\" font-size=\"14\" font-weight=\"bold\">{}</text>\n\
             <text y=\"-7\" fill=\"#555\">processor time per {}</text>",
            self.name, self.unit
        );
        for (value, has_label) in across.ticks() {
            let x = across.at(value);
            let colour = if has_label { "#ccc" } else { "#eee" };
            let _ = writeln!(out, "<path d=\"M{x:.1} 0V{HEIGHT}\" stroke=\"{colour}\"/>");
            if has_label {
                label(out, x, HEIGHT + 15.0, "middle", &short(value));
            }
        }
        if points().any(|point| point.0 == 0.0) {
            label(out, across.at(zero), HEIGHT + 15.0, "middle", "0");
        }
        for (value, has_label) in up.ticks() {
            let y = HEIGHT - up.at(value);
            let colour = if has_label { "#ccc" } else { "#eee" };
            let _ = writeln!(out, "<path d=\"M0 {y:.1}H{WIDTH}\" stroke=\"{colour}\"/>");
            if has_label {
                label(out, -6.0, y + 4.0, "end", &time(value));
            }
        }
        let _ = writeln!(
            out,
            "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#555\"/>"
        );
        label(out, WIDTH / 2.0, HEIGHT + 31.0, "middle", &self.name);
        let mut legend = 0.0;
        for (name, points) in &self.lines {
            let place = names.iter().position(|own| own == name).unwrap_or(0);
            let colour = COLOURS[place % COLOURS.len()];
            let placed = points.iter().map(|(x, y)| {
                let x = if *x == 0.0 { zero } else { *x };
                (across.at(x), HEIGHT - up.at(*y))
            });
            let placed: Vec<(f64, f64)> = placed.collect();
            let path = placed.iter().map(|(x, y)| format!("{x:.1},{y:.1} "));
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.collect::<String>().trim_end()
            );
            for (x, y) in placed {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
                );
            }
            let y = HEIGHT + 48.0;
            let _ = writeln!(
                out,
                "<rect x=\"{legend:.0}\" y=\"{}\" width=\"12\" height=\"4\" fill=\"{colour}\"/>",
                y - 6.0
            );
            label(out, legend + 17.0, y, "start", name);
            legend += 34.0 + 6.2 * float(name.chars().count());
        }
    }
}

fn label(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// A number as it stands at an axis.
fn short(value: f64) -> String {
    if value >= 999_999.0 {
        format!("{:.0} M", value / 1e6)
    } else if value >= 9_999.0 {
        format!("{:.0} k", value / 1e3)
    } else {
        format!("{value:.0}")
    }
}

/// Microseconds as they stand at an axis.
fn time(micros: f64) -> String {
    if micros >= 999_999.0 {
        format!("{:.0} s", micros / 1e6)
    } else if micros >= 999.0 {
        format!("{:.0} ms", micros / 1e3)
    } else {
        format!("{micros:.0} µs")
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn float(number: usize) -> f64 {
    number as f64
}
