//! Two kinds of picture as SVG text: lines over the number of workers, and stacked bars.

use crate::report::svg::{Axis, COLOURS, Mark, Plot};

/// Bars that still have a gap between them.
const SPACED_BARS: usize = 40;

/// A line of a picture.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// x and y.
    pub points: Vec<(f64, f64)>,
    /// Drawn thin and dashed, without marks: what would be ideal.
    pub ideal: bool,
}

/// Lines over the number of workers, the y axis from 0.
pub fn lines(title: &str, y: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let axes = (Axis::from_zero("workers", all().map(|point| point.0)), Axis::from_zero(y, all().map(|point| point.1)));
    let mut plot = Plot::new(title, axes.0, axes.1);
    for (number, line) in lines.iter().enumerate() {
        let colour = if line.ideal { "#888888" } else { COLOURS[number % COLOURS.len()] };
        plot.legend(&line.name, colour);
        plot.line(&line.points, line.ideal, &Mark::new(colour, ""));
        for &(x, value) in line.points.iter().filter(|_| !line.ideal) {
            plot.dot(x, value, 4.0, 1.0, &Mark::new(colour, format!("{}: {value:.4}", line.name)));
        }
    }
    plot.svg()
}

/// Bars stacked of parts: `bars` have a label and a length for each of the `parts`.
pub fn stacked_bars(title: &str, x: &str, y: &str, parts: &[String], bars: &[(String, Vec<f64>)]) -> String {
    let names: Vec<String> = bars.iter().map(|(name, _)| name.clone()).collect();
    let sums = bars.iter().map(|(_, lengths)| lengths.iter().sum());
    let mut plot = Plot::new(title, Axis::names(x, &names), Axis::from_zero(y, sums));
    let gap = if bars.len() <= SPACED_BARS { 4.0 } else { 0.0 };
    for (part, name) in parts.iter().enumerate() {
        let colour = COLOURS[part % COLOURS.len()];
        plot.legend(name, colour);
        for (at, (label, lengths)) in bars.iter().enumerate().filter(|(_, (_, lengths))| lengths[part] > 0.0) {
            let (at, below) = (at as f64, lengths[..part].iter().sum::<f64>());
            let mark = Mark::new(colour, format!("{label}, {name}: {:.3}", lengths[part]));
            plot.bar((at - 0.5, below), (at + 0.5, below + lengths[part]), gap, &mark);
        }
    }
    plot.svg()
}
