//! Plots as SVG text that stands in a page as well as alone.
//!
//! Text and axes have the colour of the text around them, so that a page may be light or dark; marks may have a tooltip, a
//! name for scripts and a place in the order of the keyboard. Plotting crates draw, but give their marks none of these.

use std::fmt::Write as _;

/// Colours that the colour-blind tell apart (Okabe and Ito), those that show on light and on dark.
pub const COLOURS: [&str; 8] = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#999999", "#B59F00"];
/// Width and height of a usual plot, in pixels.
pub const SIZE: (f64, f64) = (560.0, 340.0);
/// Room for labels beside the plotting area.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 48.0;
/// Labels that fit side by side.
const NAMES: usize = 14;

/// Text that HTML and SVG take as text.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write other control characters.
            c if c.is_control() && c != '\n' && c != '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// One axis of a plot.
#[derive(Debug, Clone)]
pub struct Axis {
    label: String,
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From `low` to `high`, with round numbers along it.
    pub fn linear(label: &str, low: f64, high: f64) -> Axis {
        let (low, high) = proper(low, high);
        let step = step((high - low) / 5.0);
        let digits = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let tick = |number: i64| (number as f64 * step, short(number as f64 * step, digits));
        Axis { label: label.into(), low, high, logarithmic: false, ticks: (first..=last).map(tick).collect() }
    }

    /// From 0 to a little above the largest of some values.
    pub fn from_zero(label: &str, values: impl IntoIterator<Item = f64>) -> Axis {
        let largest = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        Axis::linear(label, 0.0, if largest > 0.0 { 1.08 * largest } else { 1.0 })
    }

    /// Around some values.
    pub fn around(label: &str, values: impl IntoIterator<Item = f64>) -> Axis {
        let (low, high) = range(values);
        let margin = 0.06 * (high - low);
        Axis::linear(label, low - margin, high + margin)
    }

    /// By powers of ten, around some values above 0; where all are within one, as [`Axis::around`].
    pub fn logarithmic(label: &str, values: impl IntoIterator<Item = f64>) -> Axis {
        let values: Vec<f64> = values.into_iter().filter(|value| *value > 0.0).collect();
        let (low, high) = range(values.iter().copied().map(f64::log10));
        let (first, last) = ((low - 0.1).ceil() as i32, (high + 0.1).floor() as i32);
        if last <= first {
            return Axis::around(label, values);
        }
        let every = ((last - first) / 6).max(1);
        let decades = (first..=last).step_by(every as usize);
        let ticks = decades.map(|e| (10f64.powi(e), format!("{:e}", 10f64.powi(e)))).collect();
        Axis { label: label.into(), low: low - 0.1, high: high + 0.1, logarithmic: true, ticks }
    }

    /// Two axes of one scale for a plot of this size, around some points: distances mean the same in all directions.
    pub fn plane(labels: [&str; 2], points: &[(f64, f64)], width: f64, height: f64) -> [Axis; 2] {
        let ends = [range(points.iter().map(|point| point.0)), range(points.iter().map(|point| point.1))];
        let room = [width - LEFT - RIGHT, height - TOP - BOTTOM];
        let unit = (0..2).map(|axis| (ends[axis].1 - ends[axis].0) / room[axis]).fold(0.0, f64::max);
        std::array::from_fn(|axis| {
            let (middle, half) = ((ends[axis].0 + ends[axis].1) / 2.0, 0.6 * unit * room[axis]);
            Axis::linear(labels[axis], middle - half, middle + half)
        })
    }

    /// A place for each name: name i is at i.
    pub fn names(label: &str, names: &[String]) -> Axis {
        let every = names.len().div_ceil(NAMES).max(1);
        let ticks = names.iter().enumerate().step_by(every).map(|(at, name)| (at as f64, name.clone())).collect();
        Axis { label: label.into(), low: -0.5, high: names.len().max(1) as f64 - 0.5, logarithmic: false, ticks }
    }

    /// 0 at the lower end, 1 at the upper.
    fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(-0.02, 1.02)
    }
}

fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    proper(low, high)
}

/// A range that is one: of a single value its surroundings.
fn proper(low: f64, high: f64) -> (f64, f64) {
    match (low.is_finite() && high.is_finite(), high - low) {
        (false, _) => (0.0, 1.0),
        (true, width) if width > 1e-12 * low.abs().max(high.abs()) && width > 0.0 => (low, high),
        _ => {
            let around = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low - around, high + around)
        }
    }
}

/// The round number next above.
fn step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough)
}

fn short(value: f64, digits: usize) -> String {
    let value = if value == 0.0 { 0.0 } else { value };
    match value.abs() {
        large if large >= 1e9 => format!("{value:e}"),
        large if large >= 1e4 && digits == 0 => indicatif::HumanCount(large as u64).to_string().replace(',', " "),
        _ => format!("{value:.digits$}"),
    }
}

/// How a mark looks and answers.
#[derive(Debug, Clone, Default)]
pub struct Mark<'a> {
    /// Fill or stroke.
    pub colour: &'a str,
    /// Shown when pointed at.
    pub tip: String,
    /// Further attributes, such as `data-topic="3" tabindex="0"`, escaped.
    pub attributes: String,
}

impl<'a> Mark<'a> {
    /// A colour and a tooltip.
    pub fn new(colour: &'a str, tip: impl Into<String>) -> Self {
        Mark { colour, tip: tip.into(), attributes: String::new() }
    }
}

/// A plot that is being drawn.
#[derive(Debug, Clone)]
pub struct Plot {
    title: String,
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
    marks: String,
    legend: Vec<(String, String)>,
    bare: bool,
}

impl Plot {
    /// An empty one of the usual size.
    pub fn new(title: &str, x: Axis, y: Axis) -> Plot {
        let (width, height) = SIZE;
        Plot { title: title.into(), width, height, x, y, marks: String::new(), legend: Vec::new(), bare: false }
    }

    /// Of another size.
    #[must_use]
    pub fn sized(self, width: f64, height: f64) -> Plot {
        Plot { width, height, ..self }
    }

    /// Without a grid and numbers along y: marks bring their own.
    #[must_use]
    pub fn bare(self) -> Plot {
        Plot { bare: true, ..self }
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let across = LEFT + self.x.place(x) * (self.width - LEFT - RIGHT);
        let up = self.height - BOTTOM - self.y.place(y) * (self.height - TOP - BOTTOM);
        (across, up)
    }

    /// Adds a name to the legend.
    pub fn legend(&mut self, name: &str, colour: &str) {
        self.legend.push((name.into(), colour.into()));
    }

    /// A line through points; dashed where it stands for what would be ideal.
    pub fn line(&mut self, points: &[(f64, f64)], dashed: bool, mark: &Mark) {
        let places: Vec<String> = points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|&(x, y)| self.at(x, y))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let dashes = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let _ = writeln!(
            self.marks,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{dashes} {}>{}</polyline>",
            places.join(" "),
            mark.colour,
            if dashed { 1.2 } else { 2.0 },
            mark.attributes,
            tip(&mark.tip)
        );
    }

    /// A dot of this radius in pixels.
    pub fn dot(&mut self, x: f64, y: f64, radius: f64, opacity: f64, mark: &Mark) {
        let (x, y) = self.at(x, y);
        let _ = writeln!(
            self.marks,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{}\" fill-opacity=\"{opacity}\" {}>{}</circle>",
            mark.colour,
            mark.attributes,
            tip(&mark.tip)
        );
    }

    /// A vertical bar with ends, such as a standard deviation each way.
    pub fn error_bar(&mut self, x: f64, low: f64, high: f64, colour: &str) {
        let ((x, low), (_, high)) = (self.at(x, low), self.at(x, high));
        let (left, right) = (x - 3.0, x + 3.0);
        let _ = writeln!(
            self.marks,
            "<path d=\"M{x:.1},{low:.1}V{high:.1}M{left:.1},{low:.1}H{right:.1}M{left:.1},{high:.1}H{right:.1}\" fill=\"none\" \
             stroke=\"{colour}\" stroke-opacity=\"0.6\"/>"
        );
    }

    /// A filled rectangle between two corners; `gap` pixels narrower on either side.
    pub fn bar(&mut self, from: (f64, f64), to: (f64, f64), gap: f64, mark: &Mark) {
        let ((x0, y0), (x1, y1)) = (self.at(from.0, from.1), self.at(to.0, to.1));
        let (left, top) = (x0.min(x1) + gap, y0.min(y1));
        let (width, height) = (((x1 - x0).abs() - 2.0 * gap).max(0.3), (y1 - y0).abs());
        let _ = writeln!(
            self.marks,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{}\" {}>{}</rect>",
            mark.colour,
            mark.attributes,
            tip(&mark.tip)
        );
    }

    /// Words at a place, centred.
    pub fn words(&mut self, x: f64, y: f64, words: &str) {
        let (x, y) = self.at(x, y);
        let _ = writeln!(
            self.marks,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" pointer-events=\"none\">{}</text>",
            y + 4.0,
            escaped(words)
        );
    }

    /// The whole picture.
    pub fn svg(&self) -> String {
        let Plot { width, height, title, .. } = self;
        let (right, floor) = (width - RIGHT, height - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"group\" aria-label=\"{name}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"currentColor\">\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"15\" font-weight=\"600\">{name}</text>\n",
            name = escaped(title)
        );
        svg.push_str("<g stroke=\"currentColor\" stroke-opacity=\"0.15\">\n");
        let across: Vec<f64> = self.x.ticks.iter().map(|(value, _)| self.at(*value, self.y.low).0).collect();
        let up = |value: f64| floor - self.y.place(value) * (height - TOP - BOTTOM);
        let ticks: &[(f64, String)] = if self.bare { &[] } else { &self.y.ticks };
        for x in across.iter().filter(|_| !self.bare) {
            let _ = writeln!(svg, "<path d=\"M{x:.1},{TOP}V{floor}\"/>");
        }
        for (value, _) in ticks {
            let _ = writeln!(svg, "<path d=\"M{LEFT},{:.1}H{right}\"/>", up(*value));
        }
        svg.push_str("</g>\n");
        if !self.bare {
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT},{TOP}V{floor}H{right}\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>"
            );
        }
        // Long names of many places are cut, with the whole as a tooltip.
        let room = ((right - LEFT) / self.x.ticks.len().max(1) as f64 / 6.5) as usize;
        for (x, (_, label)) in across.iter().zip(&self.x.ticks) {
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}{}</text>",
                floor + 16.0,
                tip(label),
                escaped(&cut(label, room.max(4)))
            );
        }
        for (value, label) in ticks {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}{}</text>",
                LEFT - 6.0,
                up(*value) + 4.0,
                tip(label),
                escaped(&cut(label, 9))
            );
        }
        let (middle, centre) = ((LEFT + right) / 2.0, (TOP + floor) / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n<text transform=\"translate(14 {centre}) rotate(-90)\" \
             text-anchor=\"middle\">{}</text>",
            height - 10.0,
            escaped(&self.x.label),
            escaped(&self.y.label)
        );
        svg.push_str(&self.marks);
        let mut x = right;
        for (name, colour) in self.legend.iter().rev() {
            x -= 22.0 + 6.6 * name.chars().count() as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                TOP - 17.0,
                x + 14.0,
                TOP - 8.0,
                escaped(name)
            );
        }
        svg + "</svg>\n"
    }
}

fn tip(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(text)) }
}

/// At most so many characters.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(labels(&Axis::linear("", 0.0, 10.0)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(&Axis::linear("", -0.1, 0.32)), ["-0.1", "0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(&Axis::linear("", 0.0, 60_000.0)), ["0", "20 000", "40 000", "60 000"]);
        assert_eq!(labels(&Axis::logarithmic("", [0.001, 1.0])), ["1e-3", "1e-2", "1e-1", "1e0"]);
        assert_eq!(labels(&Axis::logarithmic("", [2.0, 5.0])), ["2", "3", "4", "5"]);
        let [x, y] = Axis::plane(["", ""], &[(0.0, 0.0), (4.0, 1.0)], 560.0, 520.0);
        assert!(((x.high - x.low) / (560.0 - 86.0) - (y.high - y.low) / (520.0 - 94.0)).abs() < 1e-9);
        assert!(labels(&Axis::names("", &vec!["n".to_owned(); 1000])).len() <= NAMES);
        // What cannot be an axis becomes one.
        for values in [vec![], vec![3.0], vec![0.0], vec![f64::NAN, f64::INFINITY]] {
            let axis = Axis::around("", values);
            assert!(axis.low < axis.high && axis.ticks.len() >= 2, "{axis:?}");
        }
    }

    #[test]
    fn lengths_are_in_proportion() {
        let mut plot = Plot::new("t <1>", Axis::names("x", &["a".into(), "b".into()]), Axis::from_zero("y", [16.0]));
        plot.bar((-0.5, 0.0), (0.5, 8.0), 8.0, &Mark::new(COLOURS[0], "eight"));
        plot.bar((0.5, 0.0), (1.5, 16.0), 8.0, &Mark::new(COLOURS[0], ""));
        let svg = plot.svg();
        let heights: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect"))
            .map(|line| line.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((heights[1] / heights[0] - 2.0).abs() < 0.01, "{heights:?}");
        assert!(svg.contains("t &lt;1&gt;") && svg.contains("<title>eight</title>"));
    }
}
