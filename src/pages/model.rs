//! The page of a model: a map of its topics, their terms by relevance, and what documents say about them.

use std::path::Path;

use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::documents::{self, Documents};
use super::map::places;
use super::relevance::{candidates, overall};
use crate::error::{At, Error, Result};
use crate::lda::model::LdaModel;
use crate::lsi::model::LsiModel;
use crate::report::html::{Page, table};
use crate::report::svg::{Axis, COLOURS, Mark, Plot, escaped};
use crate::store::file::{Format, OpenFile};

const SCRIPT: &str = include_str!("model.js");
/// Terms shown of a topic at a time.
const TERMS: usize = 20;
/// Documents shown of a topic.
const DOCUMENTS: usize = 8;
/// Terms in the row of a topic in the table.
const LEADING: usize = 6;
/// Topics that have room for their numbers on the map.
const CROWD: usize = 60;
/// Width and height of the map, in pixels.
const MAP: (f64, f64) = (560.0, 520.0);
/// Radius of the largest topic on the map, in pixels.
const RADIUS: f64 = 30.0;

/// What there is to know beside the model itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// Vectors of documents, made with the model.
    pub documents: Option<&'a Path>,
    /// What `corpuscle evaluate --format json` printed.
    pub evaluation: Option<&'a Path>,
}

/// A model as the page wants it.
struct Model {
    kind: &'static str,
    /// Topics x terms: probabilities of terms in LDA, squared loadings in LSI, whose rows sum to 1 as well.
    weights: Array2<f32>,
    /// Loadings with their signs, where there are any.
    signed: Option<Array2<f32>>,
    /// Share of each topic, in tokens or in squared norm.
    shares: Vec<f64>,
    terms: Vec<String>,
    /// A line about it.
    about: String,
    /// Singular values and residuals.
    spectrum: Option<(Vec<f64>, Vec<f64>)>,
}

impl Model {
    fn read(path: &Path) -> Result<Model> {
        match OpenFile::open(path)?.format {
            Format::Lda => {
                let model = LdaModel::load(path)?;
                let about = format!(
                    "LDA: {} topics over {} terms, from {} documents of {} tokens. A topic's size is its share of the tokens.",
                    model.topics(),
                    model.terms.len(),
                    model.history.documents,
                    model.history.tokens
                );
                let shares = model.shares();
                let LdaModel { topic_word: weights, terms, .. } = model;
                Ok(Model { kind: "lda", weights, signed: None, shares, terms, about, spectrum: None })
            }
            _ => {
                let model = LsiModel::load(path)?;
                let about = format!(
                    "LSI: {} topics over {} terms, from {} documents; together they hold {:.2} % of the squared norm. A topic's \
                     size is its share of that; a term's weight is its squared loading.",
                    model.topics(),
                    model.terms.len(),
                    model.documents,
                    100.0 * model.energy()
                );
                let shares = model.singular_values.iter().map(|s| s * s / model.frobenius_squared).collect();
                let signed = model.left_vectors.t().as_standard_layout().into_owned();
                let weights = signed.mapv(|loading| loading * loading);
                let spectrum = Some((model.singular_values, model.residuals));
                Ok(Model { kind: "lsi", weights, signed: Some(signed), shares, terms: model.terms, about, spectrum })
            }
        }
    }

    fn topics(&self) -> usize {
        self.weights.nrows()
    }

    /// The first terms of a topic by weight.
    fn leading(&self, topic: usize) -> String {
        let row = self.weights.row(topic);
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        let by_weight = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
        if LEADING < order.len() {
            order.select_nth_unstable_by(LEADING, by_weight);
            order.truncate(LEADING);
        }
        order.sort_unstable_by(by_weight);
        order.iter().map(|term| self.terms[*term as usize].as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Makes the page of a model.
///
/// # Errors
/// Files that cannot be read, or do not belong to the model.
pub fn page(path: &Path, beside: Beside, pool: &rayon::ThreadPool) -> Result<Page> {
    let model = Model::read(path)?;
    let opened = OpenFile::open(path)?;
    let documents = match beside.documents {
        Some(vectors) => documents::read(vectors, &opened, model.kind == "lsi", DOCUMENTS)?,
        None => Documents::default(),
    };
    let measures = beside.evaluation.map(|path| measures(path, model.topics())).transpose()?;
    let (places, shown) = places(model.weights.mapv(f32::sqrt).view())?;

    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut page = Page::new(&format!("Topics of {file}"));
    page.words(&model.about);
    page.html("<div class=\"sides\"><div>\n");
    page.figure("map", map(&model, &places, shown));
    page.html("<p class=\"note\">Near topics use similar words: distances are Hellinger distances, put on a plane by classical \
               scaling.</p></div><div>\n");
    page.html(&panel(&model, &documents));
    page.html("</div></div>\n");
    if let Some((values, residuals)) = &model.spectrum {
        page.section("Spectrum");
        page.html("<div class=\"pictures\">\n");
        page.figure("singular-values", spectrum("Singular values", "singular value", values, false));
        page.figure("residuals", spectrum("Residuals of the triplets", "residual (log scale)", residuals, true));
        page.html("</div>\n");
    }
    page.section("All topics");
    page.html(&all(&model, measures.as_ref(), &documents));
    page.data("data", &data(&model, &documents, pool));
    page.script(SCRIPT);
    Ok(page)
}

/// Something known of every topic: its name, and a number each.
struct Measure {
    name: &'static str,
    values: Vec<f64>,
}

fn measures(path: &Path, topics: usize) -> Result<Measure> {
    let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(path).at(path)?).map_err(|cause| {
        let what = "not what `corpuscle evaluate MODEL CORPUS --format json` prints";
        Error::failed(format!("{}: {what} ({cause})", path.display()))
    })?;
    let of = |name: &str| rows.iter().map(|row| row[name].as_f64()).collect::<Option<Vec<f64>>>();
    let found = [("u_mass", "coherence (u_mass)"), ("energy", "energy in the corpus")];
    let found = found.into_iter().find_map(|(key, name)| Some(Measure { name, values: of(key)? }));
    match found {
        Some(measure) if measure.values.len() == topics => Ok(measure),
        _ => Err(Error::failed(format!(
            "{}: not the evaluation of this model with its {topics} topics; make it with `corpuscle evaluate --format json`",
            path.display()
        ))),
    }
}

fn map(model: &Model, places: &[(f64, f64)], shown: f64) -> String {
    let label = format!("the two main directions: {:.0} % of the squared distances", 100.0 * shown);
    let (width, height) = MAP;
    let [x, y] = Axis::plane([&label, ""], places, width, height);
    let mut plot = Plot::new("Map of the topics", x, y).sized(width, height);
    let largest = model.shares.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut order: Vec<usize> = (0..model.topics()).collect();
    // Small ones lie above large ones, so that all can be reached.
    order.sort_by(|&a, &b| model.shares[b].total_cmp(&model.shares[a]));
    let scale = RADIUS / (1.0 + (model.topics() as f64 / 60.0).sqrt());
    for &topic in &order {
        let share = 100.0 * model.shares[topic];
        let tip = format!("topic {topic} ({share:.2} %): {}", model.leading(topic));
        let attributes = format!(
            "data-topic=\"{topic}\" tabindex=\"0\" role=\"button\" aria-label=\"{}\"",
            escaped(&format!("topic {topic}"))
        );
        let radius = 3.0 + scale * (model.shares[topic] / largest).max(0.0).sqrt();
        plot.dot(places[topic].0, places[topic].1, radius, 0.6, &Mark { colour: COLOURS[4], tip, attributes });
    }
    let named = if model.topics() <= CROWD { model.topics() } else { CROWD / 5 };
    for &topic in order.iter().take(named) {
        plot.words(places[topic].0, places[topic].1, &topic.to_string());
    }
    plot.svg()
}

/// What there is to see of the chosen topic.
fn panel(model: &Model, documents: &Documents) -> String {
    let last = model.topics().saturating_sub(1);
    let mut html = format!(
        "<h2 id=\"heading\" aria-live=\"polite\">Topic 0</h2>\n<div class=\"controls\"><label>Topic <input id=\"topic\" type=\"number\" \
         min=\"0\" max=\"{last}\" value=\"0\"></label> <button id=\"previous\" type=\"button\">previous</button> <button id=\"next\" \
         type=\"button\">next</button></div>\n<div class=\"controls\"><label for=\"lambda\">Relevance: typical</label> <input \
         id=\"lambda\" type=\"range\" min=\"0\" max=\"1\" step=\"0.1\" value=\"0.6\"> <span>frequent (&lambda; = <output \
         id=\"lambda-value\">0.6</output>)</span></div>\n<ol id=\"terms\" class=\"bars\" aria-label=\"terms of the topic\"></ol>\n"
    );
    if model.signed.is_some() {
        html.push_str(
            "<p class=\"note\">The two colours are the two ends of a topic: loadings above and below zero.</p>\n",
        );
    }
    if !documents.labels.is_empty() {
        html.push_str("<h3>Mean share by label, largest first</h3>\n<ol id=\"labels\" class=\"bars\"></ol>\n");
    }
    if documents.count > 0 {
        html.push_str("<h3>Documents that show it best</h3>\n<ol id=\"documents\" class=\"bars\"></ol>\n");
    }
    html
}

fn spectrum(title: &str, label: &str, values: &[f64], logarithmic: bool) -> String {
    let x = Axis::linear("topic", -0.5, values.len() as f64 - 0.5);
    let known = values.iter().copied().filter(|value| value.is_finite());
    let y = if logarithmic { Axis::logarithmic(label, known) } else { Axis::from_zero(label, known) };
    let mut plot = Plot::new(title, x, y);
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect();
    plot.line(&points, false, &Mark::new(COLOURS[0], ""));
    let radius = if points.len() > 150 { 1.5 } else { 3.0 };
    for &(x, y) in points.iter().filter(|(_, y)| y.is_finite()) {
        plot.dot(x, y, radius, 1.0, &Mark::new(COLOURS[0], format!("topic {x}: {y:.4e}")));
    }
    plot.svg()
}

fn all(model: &Model, measure: Option<&Measure>, documents: &Documents) -> String {
    let mut heads = vec!["topic", "share %"];
    if model.spectrum.is_some() {
        heads.extend(["singular value", "residual"]);
    }
    heads.extend(measure.map(|measure| measure.name));
    heads.push("leading terms");
    let row = |topic: usize| {
        let mut row = vec![
            format!("<button type=\"button\" data-topic=\"{topic}\">{topic}</button>"),
            format!("{:.3}", 100.0 * model.shares[topic]),
        ];
        if let Some((values, residuals)) = &model.spectrum {
            row.extend([format!("{:.4}", values[topic]), format!("{:.1e}", residuals[topic])]);
        }
        row.extend(measure.map(|measure| format!("{:.4}", measure.values[topic])));
        row.push(escaped(&model.leading(topic)));
        row
    };
    let rows: Vec<Vec<String>> = (0..model.topics()).map(row).collect();
    let mut html = String::new();
    if !documents.labels.is_empty() {
        html.push_str("<div class=\"controls\"><label>Shares of <select id=\"label\"><option value=\"\">the whole corpus</option>");
        for (number, (label, count)) in documents.labels.iter().enumerate() {
            html.push_str(&format!("<option value=\"{number}\">{} ({count} documents)</option>", escaped(label)));
        }
        html.push_str("</select></label></div>\n");
    }
    html + &table("topics", "A head sorts by its column; a number opens its topic", &heads, &rows)
}

/// Four digits are all that a page shows.
fn short(number: f64) -> Value {
    format!("{number:.3e}").parse::<f64>().map_or(Value::Null, |number| json!(number))
}

fn data(model: &Model, documents: &Documents, pool: &rayon::ThreadPool) -> Value {
    let overall = overall(model.weights.rows().into_iter(), &model.shares, model.terms.len());
    let rows: Vec<ArrayView1<f32>> = model.weights.rows().into_iter().collect();
    let chosen: Vec<Vec<u32>> = pool.install(|| rows.par_iter().map(|row| candidates(*row, &overall, TERMS)).collect());
    // Only terms that some topic shows are on the page, under new numbers.
    let mut used: Vec<u32> = chosen.concat();
    used.sort_unstable();
    used.dedup();
    let place = |term: &u32| used.binary_search(term).unwrap_or_default();
    let topic = |(number, terms): (usize, &Vec<u32>)| {
        let weights: Vec<Value> = terms.iter().map(|term| short(f64::from(rows[number][*term as usize]))).collect();
        let mut topic = json!({
            "share": short(model.shares[number]),
            "terms": terms.iter().map(place).collect::<Vec<_>>(),
            "weights": weights,
        });
        if let Some(signed) = &model.signed {
            let negative: Vec<u8> = terms.iter().map(|term| u8::from(signed[[number, *term as usize]] < 0.0)).collect();
            topic["negative"] = json!(negative);
        }
        if let Some(best) = documents.best.get(number) {
            let best: Vec<Value> = best.iter().map(|(share, id, label)| json!([short(*share), id, label])).collect();
            topic["documents"] = json!(best);
        }
        topic
    };
    let topics: Vec<Value> = chosen.iter().enumerate().map(topic).collect();
    let prevalence: Vec<Vec<Value>> =
        documents.prevalence.iter().map(|row| row.iter().map(|share| short(*share)).collect()).collect();
    json!({
        "kind": model.kind,
        "shown": TERMS,
        "topics": topics,
        "terms": used.iter().map(|term| &model.terms[*term as usize]).collect::<Vec<_>>(),
        "overall": used.iter().map(|term| short(overall[*term as usize])).collect::<Vec<_>>(),
        "labels": documents.labels.iter().map(|(label, _)| label).collect::<Vec<_>>(),
        "prevalence": prevalence,
    })
}
