//! Plots as PNG images, for papers and programs that take no SVG.
//!
//! Drawn by `resvg` on white, [`SCALE`] pixels for one of the plot: a plot printed 14 cm wide has 400 dots an inch. Letters are
//! those of DejaVu Sans, which the program brings along, so that a picture is the same on every machine; what that font lacks
//! is taken from the fonts of the machine.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use crate::error::{Error, Result};

/// Pixels of the image for one of the plot.
pub const SCALE: f32 = 4.0;

/// Fonts are looked for once.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    for face in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_data(face.to_vec());
    }
    fonts.load_system_fonts();
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// The PNG file of an SVG picture.
///
/// # Errors
/// Text that is no SVG, or of no size.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let drawing = Tree::from_str(svg, &options).map_err(|cause| Error::failed(format!("a plot is no SVG: {cause}")))?;
    let size =
        drawing.size().to_int_size().scale_by(SCALE).ok_or_else(|| Error::failed("a plot has no size".to_owned()))?;
    let mut image = Pixmap::new(size.width(), size.height())
        .ok_or_else(|| Error::failed(format!("a plot of {} x {} pixels is too large", size.width(), size.height())))?;
    image.fill(Color::WHITE);
    resvg::render(&drawing, Transform::from_scale(SCALE, SCALE), &mut image.as_mut());
    image.encode_png().map_err(|cause| Error::failed(format!("a plot cannot be written as PNG: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::svg::{Axis, Mark, Plot};

    /// Pixels of one colour within a rectangle of the plot.
    fn count(image: &Pixmap, colour: (u8, u8, u8), across: (f32, f32), down: (f32, f32)) -> usize {
        let within = |from: f32, to: f32| (from * SCALE) as u32..(to * SCALE) as u32;
        let place = |y| within(across.0, across.1).map(move |x| (x, y));
        within(down.0, down.1)
            .flat_map(place)
            .filter(|&(x, y)| {
                let pixel = image.pixel(x, y).expect("inside").demultiply();
                (pixel.red(), pixel.green(), pixel.blue()) == colour
            })
            .count()
    }

    #[test]
    fn bars_words_and_paper_are_where_the_plot_has_them() {
        let mut plot = Plot::new("Wörter ΑΒΓ", Axis::names("x", &["a".into()]), Axis::from_zero("y", [1.0]));
        plot.bar((-0.25, 0.0), (0.25, 1.0), 0.0, &Mark::new("#0072B2", "tip"));
        let image = Pixmap::decode_png(&png(&plot.svg()).unwrap()).unwrap();
        assert_eq!((image.width(), image.height()), (2240, 1360));
        // Half of the width of the plotting area (474), its height (246) by 1 of 1.08.
        let bar = count(&image, (0, 0x72, 0xB2), (0.0, 560.0), (0.0, 340.0)) as f32;
        let expected = 237.0 * 246.0 / 1.08 * SCALE * SCALE;
        assert!((bar / expected - 1.0).abs() < 0.01, "{bar} {expected}");
        let title = count(&image, (0, 0, 0), (70.0, 200.0), (5.0, 25.0));
        assert!(title > 2000, "{title}");
        assert_eq!(count(&image, (255, 255, 255), (300.0, 500.0), (2.0, 30.0)), 200 * 28 * 16);
        assert!(
            png("<svg").is_err()
                && png("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"0\" height=\"0\"/>").is_err()
        );
    }
}
