//! The page of a search: all candidates as a table, and what each parameter does to the score.

use std::path::Path;

use super::candidates::Candidates;
use crate::error::{At, Error, Result};
use crate::report::html::{Page, table};
use crate::report::svg::{Axis, COLOURS, Mark, Plot, escaped};

const SCRIPT: &str = include_str!("search.js");
/// Candidates in the table, and lines through the parallel coordinates: the best ones.
const ROWS: usize = 2000;
const LINES: usize = 400;
/// Larger confusion matrices are shown without numbers' shades being told apart any more.
const CLASSES: usize = 200;

/// Values of a parameter along an axis.
struct Along {
    places: Vec<f64>,
    /// Numbers far apart, or names in order.
    kind: Kind,
    low: String,
    high: String,
    names: Vec<String>,
}

#[derive(PartialEq)]
enum Kind {
    Numbers,
    Magnitudes,
    Names,
}

impl Along {
    fn of(values: &[String]) -> Along {
        let numbers: Option<Vec<f64>> =
            values.iter().map(|text| text.parse::<f64>().ok().filter(|number| number.is_finite())).collect();
        if let Some(numbers) = numbers {
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let kind = if low > 0.0 && high / low >= 50.0 { Kind::Magnitudes } else { Kind::Numbers };
            return Along { places: numbers, kind, low: low.to_string(), high: high.to_string(), names: Vec::new() };
        }
        let mut names = values.to_vec();
        names.sort();
        names.dedup();
        let place = |text: &String| names.binary_search(text).unwrap_or(0) as f64;
        let ends = [names.first(), names.last()].map(|name| name.cloned().unwrap_or_default());
        let [low, high] = ends;
        Along { places: values.iter().map(place).collect(), kind: Kind::Names, low, high, names }
    }

    fn axis(&self, label: &str) -> Axis {
        match self.kind {
            Kind::Numbers => Axis::around(label, self.places.iter().copied()),
            Kind::Magnitudes => Axis::logarithmic(label, self.places.iter().copied()),
            Kind::Names => Axis::names(label, &self.names),
        }
    }

    /// From 0 to 1.
    fn relative(&self) -> Vec<f64> {
        let scaled: Vec<f64> =
            self.places.iter().map(|v| if self.kind == Kind::Magnitudes { v.ln() } else { *v }).collect();
        relative(&scaled)
    }
}

fn relative(values: &[f64]) -> Vec<f64> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    values.iter().map(|value| if high > low { (value - low) / (high - low) } else { 0.5 }).collect()
}

/// Makes the page. `confusion` is what `corpuscle predict --show confusion -o` wrote of the best candidate.
///
/// # Errors
/// Files that cannot be read.
pub fn page(path: &Path, confusion: Option<&Path>) -> Result<Page> {
    let found = Candidates::read(path)?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut page = Page::new(&format!("Search: {file}"));
    let first = &found.scorers[0];
    let order = found.by_rank(0);
    let best = order[0];
    let parameters: Vec<String> =
        found.parameters.iter().map(|(name, values)| format!("{name} = {}", values[best])).collect();
    page.words(&format!(
        "{} candidates. Best by {}: {:.4} ± {:.4} (mean and standard deviation over the folds), candidate {best}: {}.",
        found.len(),
        first.name,
        first.mean[best],
        first.std[best],
        parameters.join(", ")
    ));
    page.html("<p id=\"chosen\" aria-live=\"polite\" class=\"note\">A candidate is chosen in the table or in a picture.</p>\n");
    page.section("All parameters at once");
    page.figure("parallel", parallel(&found, &order));
    for (number, scorer) in found.scorers.iter().enumerate() {
        page.section(&format!("What the parameters do to {}", scorer.name));
        page.html("<div class=\"pictures\">\n");
        for (at, (name, values)) in found.parameters.iter().enumerate() {
            page.figure(&format!("score-{number}-parameter-{at}"), against(&found, number, name, values));
        }
        if let Some(seconds) = &found.fit_seconds {
            page.figure(&format!("score-{number}-time"), time(&found, number, seconds));
        }
        page.html("</div>\n");
    }
    if let Some(confusion) = confusion {
        page.section("Who was taken for whom");
        page.html(&matrix(confusion)?);
    }
    page.section("Candidates");
    if found.len() > ROWS {
        page.words(&format!("The best {ROWS} of {}.", found.len()));
    }
    page.html(&list(&found, &order));
    page.script(SCRIPT);
    Ok(page)
}

fn of_candidate(candidate: usize) -> String {
    format!("data-candidate=\"{candidate}\"")
}

fn list(found: &Candidates, order: &[usize]) -> String {
    let mut heads = vec!["candidate".to_owned()];
    heads.extend(found.parameters.iter().map(|(name, _)| name.clone()));
    for scorer in &found.scorers {
        heads.extend([format!("{} rank", scorer.name), scorer.name.clone(), format!("± {}", scorer.name)]);
    }
    heads.extend(found.fit_seconds.iter().map(|_| "fit s".to_owned()));
    let number = |value: f64, digits: usize| if value.is_nan() { "-".to_owned() } else { format!("{value:.digits$}") };
    let row = |&candidate: &usize| {
        let mut row = vec![format!("<button type=\"button\" {}>{candidate}</button>", of_candidate(candidate))];
        row.extend(found.parameters.iter().map(|(_, values)| escaped(&values[candidate])));
        for scorer in &found.scorers {
            row.extend([
                number(scorer.rank[candidate], 0),
                number(scorer.mean[candidate], 4),
                number(scorer.std[candidate], 4),
            ]);
        }
        row.extend(found.fit_seconds.iter().map(|seconds| number(seconds[candidate], 3)));
        row
    };
    let rows: Vec<Vec<String>> = order.iter().take(ROWS).map(row).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    table("candidates", "A head sorts by its column; a number chooses a candidate", &heads, &rows)
}

/// Every candidate as a line across one axis for each parameter and score.
fn parallel(found: &Candidates, order: &[usize]) -> String {
    let mut axes: Vec<(String, Vec<f64>, String, String)> = Vec::new();
    for (name, values) in &found.parameters {
        let along = Along::of(values);
        axes.push((name.clone(), along.relative(), along.low, along.high));
    }
    for scorer in &found.scorers {
        let finite = || scorer.mean.iter().copied().filter(|value| value.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        axes.push((scorer.name.clone(), relative(&scorer.mean), format!("{low:.4}"), format!("{high:.4}")));
    }
    let names: Vec<String> = axes.iter().map(|(name, ..)| name.clone()).collect();
    let frame = (Axis::names("", &names), Axis::linear("", -0.12, 1.12));
    let mut plot =
        Plot::new("Each line is a candidate, the darker the better", frame.0, frame.1).sized(1150.0, 380.0).bare();
    let shown: Vec<usize> = order.iter().copied().take(LINES).collect();
    // The best are drawn last, above the others.
    for (place, &candidate) in shown.iter().enumerate().rev() {
        let points: Vec<(f64, f64)> =
            axes.iter().enumerate().map(|(at, (_, places, ..))| (at as f64, places[candidate])).collect();
        let best = 1.0 - place as f64 / shown.len() as f64;
        let attributes = format!("{} stroke-opacity=\"{:.2}\"", of_candidate(candidate), 0.12 + 0.8 * best.powi(3));
        plot.line(&points, false, &Mark { colour: COLOURS[0], tip: tip(found, candidate), attributes });
    }
    for (at, (_, _, low, high)) in axes.iter().enumerate() {
        plot.line(&[(at as f64, 0.0), (at as f64, 1.0)], false, &Mark::new("currentColor", ""));
        plot.words(at as f64, -0.07, low);
        plot.words(at as f64, 1.07, high);
    }
    plot.svg()
}

fn tip(found: &Candidates, candidate: usize) -> String {
    let scores = found.scorers.iter().map(|s| format!("{} {:.4} ± {:.4}", s.name, s.mean[candidate], s.std[candidate]));
    let parameters = found.parameters.iter().map(|(name, values)| format!("{name} = {}", values[candidate]));
    format!("candidate {candidate}: {}", scores.chain(parameters).collect::<Vec<_>>().join(", "))
}

/// Score against one parameter: every candidate with its standard deviation, and a line through the best of each value.
fn against(found: &Candidates, scorer: usize, name: &str, values: &[String]) -> String {
    let along = Along::of(values);
    let scores = &found.scorers[scorer];
    let ends = scores.mean.iter().zip(&scores.std).flat_map(|(mean, std)| [mean - std, mean + std]);
    let mut plot =
        Plot::new(&format!("{} against {name}", scores.name), along.axis(name), Axis::around(&scores.name, ends));
    let order = found.by_rank(scorer);
    let mut best: Vec<(f64, f64)> = Vec::new();
    for &candidate in order.iter().take(ROWS).filter(|candidate| scores.mean[**candidate].is_finite()) {
        let (x, mean) = (along.places[candidate], scores.mean[candidate]);
        if best.iter().all(|(known, _)| *known != x) {
            best.push((x, mean));
            plot.error_bar(x, mean - scores.std[candidate], mean + scores.std[candidate], COLOURS[1]);
        }
        let attributes = of_candidate(candidate);
        plot.dot(x, mean, 3.5, 0.45, &Mark { colour: COLOURS[0], tip: tip(found, candidate), attributes });
    }
    best.sort_by(|a, b| a.0.total_cmp(&b.0));
    plot.line(
        &best,
        false,
        &Mark::new(COLOURS[1], "the best of each value, with its standard deviation over the folds"),
    );
    plot.legend("candidates", COLOURS[0]);
    plot.legend("best ± std", COLOURS[1]);
    plot.svg()
}

fn time(found: &Candidates, scorer: usize, seconds: &[f64]) -> String {
    let scores = &found.scorers[scorer];
    let x = Axis::logarithmic("seconds to fit a fold", seconds.iter().copied());
    let mut plot =
        Plot::new(&format!("{} against time", scores.name), x, Axis::around(&scores.name, scores.mean.iter().copied()));
    for &candidate in found.by_rank(scorer).iter().take(ROWS).filter(|candidate| scores.mean[**candidate].is_finite()) {
        if seconds[candidate] > 0.0 {
            let mark = Mark { colour: COLOURS[0], tip: tip(found, candidate), attributes: of_candidate(candidate) };
            plot.dot(seconds[candidate], scores.mean[candidate], 3.5, 0.5, &mark);
        }
    }
    plot.svg()
}

fn matrix(path: &Path) -> Result<String> {
    let mut reader = csv::Reader::from_path(path).at(path)?;
    let classes: Vec<String> = reader.headers().at(path)?.iter().skip(1).map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.at(path)?;
        let counts: Option<Vec<f64>> = record.iter().skip(1).map(|text| text.parse().ok()).collect();
        rows.push((record.get(0).unwrap_or_default().to_owned(), counts.unwrap_or_default()));
    }
    let right = (1..=CLASSES).contains(&classes.len())
        && rows.len() == classes.len()
        && rows.iter().all(|(_, counts)| counts.len() == classes.len());
    if !right {
        let what = "not a confusion matrix; make one with `corpuscle predict --show confusion -o FILE`";
        return Err(Error::failed(format!("{}: {what}", path.display())));
    }
    let mut heads = vec!["is \\ was called"];
    heads.extend(classes.iter().map(String::as_str));
    let row = |(at, (name, counts)): (usize, &(String, Vec<f64>))| {
        let all: f64 = counts.iter().sum();
        let mut row = vec![escaped(name)];
        row.extend(counts.iter().enumerate().map(|(column, count)| {
            let part = if all > 0.0 { 100.0 * count / all } else { 0.0 };
            let colour = if column == at { "--accent" } else { "--marked" };
            let shade = 0.75 * part;
            format!(
                "<span style=\"display:block;margin:-0.2em -0.6em;padding:0.2em 0.6em;background:color-mix(in srgb, var({colour}) \
                 {shade:.0}%, transparent)\" title=\"{part:.1} % of {}\">{count}</span>",
                escaped(name)
            )
        }));
        row
    };
    let rows: Vec<Vec<String>> = rows.iter().enumerate().map(row).collect();
    Ok(table("confusion", "Rows are the true classes, columns what they were taken for", &heads, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_lie_along_axes_that_suit_them() {
        let along = |values: &[&str]| Along::of(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        let magnitudes = along(&["0.001", "1", "0.03162"]);
        assert!(magnitudes.kind == Kind::Magnitudes);
        assert!((magnitudes.relative()[2] - 0.5).abs() < 1e-3);
        assert!(along(&["6", "12", "24"]).kind == Kind::Numbers);
        let names = along(&["nfc", "lfc", "nfc"]);
        assert!(names.kind == Kind::Names && names.places == [1.0, 0.0, 1.0]);
        assert_eq!(along(&["5", "5"]).relative(), [0.5, 0.5]);
    }
}
