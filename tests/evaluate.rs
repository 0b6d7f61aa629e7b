//! `corpuscle evaluate`: residuals and energy against a dense oracle, for any ranks; what it refuses.

mod common;

use common::corpora::{documents, model, read_corpus, write_corpus, write_model};
use common::{alone, assert_all_gone, has_mpi, names, ranks, text};
use corpuscle::corpus::container::Values;
use corpuscle::lsi::model::LsiModel;
use ndarray::Array2;
use serde_json::Value;
use std::path::Path;
use tempfile::tempdir;

/// Rows of `evaluate --format json` as (residual, energy, cumulative energy).
fn rows(json: &str) -> Vec<[f64; 3]> {
    let rows: Vec<Value> = serde_json::from_str(json).expect("JSON");
    let figure = |row: &Value, name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} in {row}"));
    rows.iter().map(|row| ["residual", "energy", "cumulative_energy"].map(|name| figure(row, name))).collect()
}

/// The same by dense products in f64.
fn oracle(corpus: &Path, model: &LsiModel) -> Vec<[f64; 3]> {
    let (_, chunk) = read_corpus(corpus);
    let mut matrix = Array2::<f64>::zeros((chunk.documents(), chunk.terms as usize));
    for row in 0..chunk.documents() {
        let (terms, values) = chunk.document(row);
        terms.iter().zip(values).for_each(|(&term, &value)| matrix[[row, term as usize]] = f64::from(value));
    }
    let total: f64 = matrix.iter().map(|x| x * x).sum();
    let mut cumulative = 0.0;
    let figures = model.left_vectors.columns().into_iter().zip(&model.singular_values).map(|(vector, s)| {
        let vector = vector.mapv(f64::from);
        let projected = matrix.dot(&vector);
        let difference = matrix.t().dot(&projected) - &vector * (s * s);
        let energy = projected.dot(&projected) / total;
        cumulative += energy;
        [difference.dot(&difference).sqrt() / (s * s), energy, cumulative]
    });
    figures.collect()
}

fn assert_close(ours: &[[f64; 3]], theirs: &[[f64; 3]]) {
    assert_eq!(ours.len(), theirs.len());
    for (topic, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        for (ours, theirs) in ours.iter().zip(theirs) {
            // Sums on a fixed grid and in another order.
            assert!((ours - theirs).abs() <= 1e-9 * theirs.abs() + 1e-9, "topic {topic}: {ours} is not {theirs}");
        }
    }
}

#[test]
fn a_trained_model_is_found_as_good_as_it_says() {
    let folder = tempdir().unwrap();
    let [counts, weights, saved] = ["counts.h5", "weights.h5", "model.h5"].map(|name| folder.path().join(name));
    write_corpus(&counts, &documents(800, 250, 1), Values::Counts, false);
    alone(["tfidf", text(&counts), "-o", text(&weights), "-q"]).ok();
    alone(["lsi", text(&weights), "-k", "12", "-o", text(&saved), "-q"]).ok();
    let model = LsiModel::load(&saved).expect("a model");
    let found = rows(&alone(["evaluate", text(&saved), text(&weights), "--format", "json", "-q"]).ok().stdout);
    assert_close(&found, &oracle(&weights, &model));
    for (row, residual) in found.iter().zip(&model.residuals) {
        assert!((row[0] - residual).abs() <= 1e-6 * residual, "{} and {residual} in the model", row[0]);
    }
    // Orthonormal vectors: what is captured adds up to the energy of the model.
    assert!((found[11][2] - model.energy()).abs() < 1e-6);
    let table = alone(["evaluate", text(&saved), text(&weights), "-q"]).ok().stdout;
    let figures: Vec<&str> = table.lines().nth(2).expect("a row").split_whitespace().collect();
    let worst = model.residuals.iter().copied().fold(0.0, f64::max);
    assert_eq!(figures[..3], ["800", "12", &format!("{:.3}", 100.0 * model.energy())]);
    assert_eq!(figures[4], format!("{worst:.1e}"));
    assert_eq!(model.residuals[figures[5].parse::<usize>().expect("a topic")], worst);
}

#[test]
fn any_ranks_find_the_same_about_vectors_that_are_no_singular_vectors() {
    let folder = tempdir().unwrap();
    let [corpus, saved] = ["corpus.h5", "model.h5"].map(|name| folder.path().join(name));
    // More than two blocks of 2,048 rows, so that several workers own some; more than one strip of 64 columns.
    write_corpus(&corpus, &documents(2500, 4500, 2), Values::Counts, true);
    let mut model = model(4500, 70, "counts");
    // Columns of unit length, as those of any model; the sums rely on it.
    for mut column in model.left_vectors.columns_mut() {
        let norm = column.dot(&column).sqrt();
        column /= norm;
    }
    write_model(&saved, &model);
    let arguments = ["evaluate", text(&saved), text(&corpus), "--format", "json", "-q"];
    let expected = alone(arguments).ok().stdout;
    assert_close(&rows(&expected), &oracle(&corpus, &model));
    if !has_mpi() {
        return;
    }
    for (count, more) in [(2, &[][..]), (3, &["--scatter"]), (5, &["--threads", "2"])] {
        let finished = ranks(count, arguments.iter().chain(more)).ok();
        assert_eq!(finished.stdout, expected, "{count} ranks {more:?}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [counts, other, of_weights, flat, empty, of_counts] =
        ["counts.h5", "other.h5", "of-weights.h5", "flat.h5", "empty.h5", "of-counts.h5"].map(file);
    write_corpus(&counts, &documents(40, 30, 3), Values::Counts, false);
    write_corpus(&other, &documents(40, 29, 3), Values::Counts, false);
    let mut nothing = documents(3, 30, 3);
    (nothing.indptr, nothing.indices, nothing.data) = (vec![0; 4], Vec::new(), Vec::new());
    write_corpus(&empty, &nothing, Values::Counts, false);
    write_model(&of_weights, &model(30, 5, "nfc"));
    write_model(&of_counts, &model(30, 5, "counts"));
    let mut zero = model(30, 5, "counts");
    zero.singular_values[4] = 0.0;
    write_model(&flat, &zero);
    let before = names(folder.path());
    type Case<'a> = (&'a Path, &'a Path, &'a [&'a str]);
    let cases: [Case; 5] = [
        (&of_weights, &counts, &["counts.h5: holds counts", "of-weights.h5"]),
        (&of_counts, &other, &["other.h5", "of-counts.h5", "29 terms and not 30"]),
        (&flat, &counts, &["flat.h5", "topic 4 is 0"]),
        (&counts, &counts, &["counts.h5: holds a corpus where an LSI model or an LDA model is wanted"]),
        (&of_counts, &empty, &["empty"]),
    ];
    for (model, corpus, words) in cases {
        alone(["evaluate", text(model), text(corpus)]).failed(1, words);
    }
    if !has_mpi() {
        return;
    }
    for (model, corpus, words) in cases {
        ranks(3, ["evaluate", text(model), text(corpus)]).failed_on_workers(1, words);
        assert_all_gone(folder.path());
    }
    assert_eq!(names(folder.path()), before);
}
