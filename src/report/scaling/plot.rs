//! Two kinds of picture as SVG text: lines over the number of workers, and stacked bars.

use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;

/// Width and height of a picture, in pixels.
const SIZE: (u32, u32) = (560, 340);
/// Colours that the colour-blind tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(240, 228, 66),
    RGBColor(120, 120, 120),
];
/// Bars that still have room for a label each.
const LABELLED_BARS: usize = 12;

/// A line of a picture.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// x and y.
    pub points: Vec<(f64, f64)>,
    /// Drawn thin and grey, without marks: what would be ideal.
    pub ideal: bool,
}

/// Lines over the number of workers, the y axis from 0.
pub fn lines(title: &str, y: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let right = all().map(|point| point.0).fold(1.0, f64::max);
    let top = above(all().map(|point| point.1).fold(0.0, f64::max));
    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 17))
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..1.05 * right, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("workers")
            .y_desc(y)
            .label_style(("sans-serif", 13))
            .draw()?;
        for (number, line) in lines.iter().enumerate() {
            let colour = if line.ideal { RGBColor(150, 150, 150) } else { COLOURS[number % COLOURS.len()] };
            let style = colour.stroke_width(if line.ideal { 1 } else { 2 });
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
            if !line.ideal {
                chart.draw_series(line.points.iter().map(|&point| Circle::new(point, 4, colour.filled())))?;
            }
        }
        legend(&mut chart)
    })
}

/// Bars stacked of parts: `bars` have a label and a length for each of the `parts`.
pub fn stacked_bars(title: &str, x: &str, y: &str, parts: &[String], bars: &[(String, Vec<f64>)]) -> String {
    let top = above(bars.iter().map(|(_, lengths)| lengths.iter().sum()).fold(0.0, f64::max));
    let label = |value: &SegmentValue<usize>| match value {
        SegmentValue::CenterOf(bar) | SegmentValue::Exact(bar) => {
            bars.get(*bar).map_or_else(String::new, |bar| bar.0.clone())
        }
        SegmentValue::Last => String::new(),
    };
    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 17))
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d((0..bars.len()).into_segmented(), 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .x_labels(bars.len().clamp(1, LABELLED_BARS))
            .x_label_formatter(&label)
            .x_desc(x)
            .y_desc(y)
            .label_style(("sans-serif", 13))
            .draw()?;
        for (part, name) in parts.iter().enumerate() {
            let colour = COLOURS[part % COLOURS.len()];
            let rectangle = |(number, (_, lengths)): (usize, &(String, Vec<f64>))| {
                let below: f64 = lengths[..part].iter().sum();
                let corners =
                    [(SegmentValue::Exact(number), below), (SegmentValue::Exact(number + 1), below + lengths[part])];
                let mut rectangle = Rectangle::new(corners, colour.filled());
                let gap = if bars.len() <= LABELLED_BARS { 8 } else { 1 };
                rectangle.set_margin(0, 0, gap, gap);
                rectangle
            };
            chart
                .draw_series(bars.iter().enumerate().map(rectangle))?
                .label(name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
        }
        legend(&mut chart)
    })
}

type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(picture: impl FnOnce(&Area) -> Drawn) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = picture(&area).and_then(|()| area.present());
    drop(area);
    drawn.expect("a string takes any picture");
    svg
}

fn legend<'a, X: Ranged, Y: Ranged>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Drawn {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.75))
        .label_font(("sans-serif", 13))
        .draw()
}

/// A little more than the largest value, for the end of an axis.
fn above(largest: f64) -> f64 {
    if largest > 0.0 { 1.3 * largest } else { 1.0 }
}
