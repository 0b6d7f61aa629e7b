//! A page that needs nothing but itself: style, scripts, data and pictures in one HTML file.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::png::png;
use super::svg::escaped;
use crate::error::{At, Result};
use crate::store::atomic::Target;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Page {
    title: String,
    body: String,
    scripts: String,
    figures: Vec<(String, String)>,
}

impl Page {
    /// A page with a heading.
    pub fn new(title: &str) -> Page {
        Page { title: title.into(), ..Page::default() }
    }

    /// Adds HTML.
    pub fn html(&mut self, html: &str) {
        self.body.push_str(html);
    }

    /// Adds a heading of the second level.
    pub fn section(&mut self, heading: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escaped(heading));
    }

    /// Adds a paragraph.
    pub fn words(&mut self, words: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escaped(words));
    }

    /// Adds a picture; `name` is that of its file where pictures are written to files, too.
    pub fn figure(&mut self, name: &str, svg: String) {
        let _ = writeln!(self.body, "<figure id=\"figure-{name}\">{svg}</figure>");
        self.figures.push((name.to_owned(), svg));
    }

    /// Adds data that scripts find as the JSON text of the element `id`.
    pub fn data(&mut self, id: &str, data: &Value) {
        // `<` in a string could end the element; JSON has another way to write it.
        let json = data.to_string().replace('<', "\\u003c");
        let _ = writeln!(self.body, "<script type=\"application/json\" id=\"{id}\">{json}</script>");
    }

    /// Adds a script, run when the page is there.
    pub fn script(&mut self, script: &str) {
        self.scripts.push_str(script);
    }

    fn text(&self) -> String {
        let title = escaped(&self.title);
        // Nothing is fetched, whatever stands in the data.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{}</main>\n<script>\n\"use strict\";\n{SCRIPT}{}</script>\n</body>\n</html>\n",
            self.body, self.scripts
        )
    }

    /// Writes the page, whole or not at all, and its pictures as SVG and PNG files into a folder, where one is named.
    ///
    /// # Errors
    /// Fails when a file cannot be written.
    pub fn write(&self, path: &Path, pictures: Option<&Path>) -> Result<()> {
        let target = Target::create(path)?;
        if let Some(folder) = pictures {
            fs::create_dir_all(folder).at(folder)?;
            for (name, svg) in &self.figures {
                for (ending, bytes) in [("svg", svg.as_bytes()), ("png", &png(svg)?)] {
                    let picture = Target::create(folder.join(format!("{name}.{ending}")))?;
                    fs::write(picture.temporary(), bytes).at(picture.path())?;
                    picture.commit()?;
                }
            }
        }
        fs::write(target.temporary(), self.text()).at(path)?;
        target.commit()
    }
}

/// A table: heads, then rows of cells that are HTML already. Columns after the first are numbers.
pub fn table(id: &str, caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut html = format!(
        "<div class=\"wide\"><table id=\"{id}\" class=\"sortable\"><caption>{}</caption><thead><tr>",
        escaped(caption)
    );
    for head in heads {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escaped(head));
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody></table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_holds_everything_and_no_data_breaks_out() {
        let folder = tempfile::tempdir().unwrap();
        let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='5'></svg>";
        let mut page = Page::new("a <b>");
        page.data("data", &json!(["</script><script>alert(1)</script>"]));
        page.figure("one", svg.into());
        page.html(&table("t", "c", &["a&b", "n"], &[vec!["x".into(), "1".into()]]));
        let path = folder.path().join("page.html");
        page.write(&path, Some(&folder.path().join("plots"))).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("<h1>a &lt;b&gt;</h1>") && text.contains("a&amp;b"));
        assert!(!text.contains("<script>alert") && !text.replace(svg, "").contains("://"));
        assert_eq!(fs::read_to_string(folder.path().join("plots/one.svg")).unwrap(), svg);
        let png = fs::read(folder.path().join("plots/one.png")).unwrap();
        assert_eq!((&png[1..4], &png[16..24]), (&b"PNG"[..], &[0, 0, 0, 36, 0, 0, 0, 20][..]));
    }
}
