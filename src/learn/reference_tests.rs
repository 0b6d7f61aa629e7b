//! The estimators against scikit-learn's figures: tests/fixtures/learn.py made them.
//!
//! Closed forms agree to 1e-12, relative to the largest number of their kind; iterated ones in every prediction and to 1e-4 in
//! each coefficient, which is far above what the tight tolerances of both sides leave.

use ndarray::Array2;
use serde_json::Value as Json;

use super::estimator::{Fitted, Reuse, Target};
use super::features::{Features, Sparse};
use super::metrics::Scorer;
use super::scaler::StandardScaler;
use crate::search::steps::{Kind, Step, build};
use crate::search::value::Value;

fn fixture() -> Json {
    serde_json::from_str(include_str!("../../tests/fixtures/learn.json")).unwrap()
}

/// `dense` of the script.
fn dense(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let mut z = ((i as u64 * 7919 + j as u64 * 104_729 + 1) * 2_654_435_761) & 0xffff_ffff;
        z ^= z >> 15;
        z = (z * 2_246_822_519) & 0xffff_ffff;
        z ^= z >> 13;
        z as f64 / (1u64 << 31) as f64 - 1.0
    })
}

/// `counts` of the script.
fn counts(rows: usize, columns: usize) -> Array2<f64> {
    dense(rows, columns).mapv(|x| ((x + 1.0) * (x + 1.0) * (x + 1.0) / 2.0).floor())
}

fn sparse(dense: &Array2<f64>) -> Features {
    let mut rows = Sparse { columns: dense.ncols(), begins: vec![0], ..Sparse::default() };
    for row in dense.rows() {
        for (column, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            rows.indices.push(column as u32);
            rows.values.push(value);
        }
        rows.begins.push(rows.indices.len());
    }
    Features::Sparse(rows)
}

fn numbers(json: &Json) -> Vec<f64> {
    match json {
        Json::Array(list) => list.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap_or(f64::NAN)],
    }
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * size.max(1e-300), "{what}[{at}]: {a} is not {b}");
    }
}

fn spec(case: &Json) -> super::estimator::Spec {
    let given: Vec<(String, Value)> = case["parameters"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), serde_json::from_value(value.clone()).unwrap()))
        .collect();
    let given: Vec<(&str, &Value)> = given.iter().map(|(name, value)| (name.as_str(), value)).collect();
    match build(Kind::named(case["name"].as_str().unwrap()).unwrap(), &given) {
        Ok(Step::Estimator(spec)) => spec,
        other => panic!("{case}: {other:?}"),
    }
}

#[test]
fn estimators_and_scores_are_scikit_learns() {
    let fixture = fixture();
    let classes = |name: &str| -> Vec<usize> { numbers(&fixture[name]).iter().map(|&class| class as usize).collect() };
    let (train, test): (Vec<usize>, Vec<usize>) = ((0..90).collect(), (90..120).collect());
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() > 60);
    let mut scored = 0;
    for case in cases {
        let target = match case["target"].as_str().unwrap() {
            "y" => Target::Values(numbers(&fixture["y"])),
            name => Target::Classes(classes(name)),
        };
        let rows = if case["counts"] == true { counts(120, 9) } else { dense(120, 6) };
        let name = format!("{} {} {}", case["name"], case["parameters"], case["target"]);
        let spec = spec(case);
        let iterated = matches!(spec, super::estimator::Spec::Logistic { .. } | super::estimator::Spec::Svm { .. });
        let (tolerance, chance) = if iterated { (1e-4, 1e-5) } else { (1e-12, 1e-11) };
        for features in [Features::Dense(rows.clone()), sparse(&rows)] {
            let (fitted, note) =
                spec.fit(&features.select(&train), &target.select(&train), &mut Reuse::default()).unwrap();
            assert_eq!(note, None, "{name}");
            let predicted = fitted.predict(&features.select(&test));
            match &target {
                Target::Values(_) => close(&predicted.values, &numbers(&case["predicted"]), tolerance, &name),
                Target::Classes(_) => {
                    let labels: Vec<f64> = predicted.labels.iter().map(|&class| class as f64).collect();
                    assert_eq!(labels, numbers(&case["predicted"]), "{name}");
                }
            }
            if let (Some(coefficients), Fitted::Linear { weights, .. }) = (case.get("coefficients"), &fitted) {
                let columns = weights.nrows() - 1;
                let transposed: Vec<f64> = weights.slice(ndarray::s![..columns, ..]).t().iter().copied().collect();
                close(&transposed, &numbers(coefficients), tolerance, &name);
                let mut intercepts = numbers(&case["intercepts"]);
                // Of all classes at once only the differences count, and where there are none one zero is stored.
                intercepts.resize(weights.ncols(), 0.0);
                let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
                let found = weights.row(columns).to_vec();
                let shift =
                    if found.len() > 2 && name.contains("logistic") { mean(&found) - mean(&intercepts) } else { 0.0 };
                let size = numbers(coefficients).iter().chain(&intercepts).fold(0.0, |most: f64, x| most.max(x.abs()));
                for (a, b) in found.iter().zip(&intercepts) {
                    assert!((a - shift - b).abs() <= tolerance * size, "{name}: intercept {a} is not {b}");
                }
            }
            if let (Some(expected), Some(found)) = (case.get("probabilities"), &predicted.probabilities) {
                close(&found.iter().copied().collect::<Vec<_>>(), &numbers(expected), chance, &name);
            }
            for (scorer, expected) in case["scores"].as_object().unwrap() {
                let found = Scorer::named(scorer).unwrap().score(&predicted, &target.select(&test)).unwrap();
                let expected = expected.as_f64().unwrap();
                assert!(
                    (found - expected).abs() <= 1e-11 + if iterated { 1e-5 * expected.abs() } else { 0.0 },
                    "{name}: {scorer} {found} is not {expected}"
                );
                scored += 1;
            }
        }
    }
    assert!(scored > 300, "{scored}");
}

#[test]
fn ridge_on_few_rows_and_a_path_of_one_factorisation() {
    let fixture = fixture();
    let (x, y) = (Features::Dense(dense(40, 70)), numbers(&fixture["y"])[..40].to_vec());
    let mut reuse = Reuse::default();
    for alpha in [5.0, 0.3] {
        let spec = super::estimator::Spec::Ridge { alpha, intercept: true };
        let (Fitted::Linear { weights, .. }, _) = spec.fit(&x, &Target::Values(y.clone()), &mut reuse).unwrap() else {
            panic!("not linear")
        };
        if alpha == 0.3 {
            let expected = &fixture["wide_ridge"];
            close(&weights.column(0).to_vec()[..70], &numbers(&expected["coefficients"]), 1e-12, "wide");
            close(&[weights[[70, 0]]], &numbers(&expected["intercept"]), 1e-11, "intercept");
        }
    }
}

#[test]
fn warm_starts_end_where_cold_ones_do() {
    let x = Features::Dense(dense(200, 5));
    let target = Target::Classes((0..200).map(|row| row * row % 3).collect());
    for (name, tolerance) in [("logistic", 1e-9), ("linear-svm", 1e-9)] {
        let mut reuse = Reuse::default();
        for c in [0.01, 0.1, 1.0, 10.0] {
            let given = [("C", &Value::Float(c)), ("tol", &Value::Float(tolerance))];
            let Ok(Step::Estimator(spec)) = build(Kind::named(name).unwrap(), &given) else { panic!() };
            let weights = |reuse: &mut Reuse| match spec.fit(&x, &target, reuse).unwrap() {
                (Fitted::Linear { weights, .. }, None) => weights.into_raw_vec_and_offset().0,
                other => panic!("{other:?}"),
            };
            let (warm, cold) = (weights(&mut reuse), weights(&mut Reuse::default()));
            close(&warm, &cold, 1e-5, name);
        }
    }
}

#[test]
fn what_cannot_be_fitted_says_why_and_what_was_cut_off_too() {
    let fit = |name: &str, x: Features, target: Target, given: &[(&str, &Value)]| {
        let Ok(Step::Estimator(spec)) = build(Kind::named(name).unwrap(), given) else { panic!("{name}") };
        spec.fit(&x, &target, &mut Reuse::default())
    };
    let rows = || Features::Dense(dense(30, 4));
    let three = || Target::Classes((0..30).map(|row| row % 3).collect());
    let error = |result: crate::error::Result<(Fitted, Option<String>)>| result.unwrap_err().to_string();
    assert!(error(fit("logistic", rows(), Target::Classes(vec![4; 30]), &[])).contains("one class"));
    assert!(error(fit("multinomial-nb", rows(), three(), &[])).contains("not negative"));
    assert!(
        error(fit("k-neighbours", rows(), three(), &[("n_neighbors", &Value::Int(31))]))
            .contains("31 neighbours of 30 rows")
    );
    assert!(error(fit("ridge", rows(), three(), &[])).contains("needs numbers"));
    let mut holes = dense(30, 4);
    holes[[3, 2]] = f64::NAN;
    assert!(error(fit("nearest-centroid", Features::Dense(holes), three(), &[])).contains("missing"));
    for name in ["logistic", "linear-svm"] {
        let given = [("max_iter", &Value::Int(1)), ("tol", &Value::Float(1e-12))];
        let (_, note) = fit(name, rows(), three(), &given).unwrap();
        assert!(note.unwrap().contains("did not converge in 1 iterations"), "{name}");
    }
}

#[test]
fn the_scaler_is_scikit_learns() {
    let expected = &fixture()["scaler"];
    let (stretch, shift) = ([1.0, 1e-3, 1e4, 1.0, 0.0], [0.0, 5.0, -1e6, 1e3, 0.1]);
    let mut rows = dense(1000, 5);
    for ((row, column), value) in rows.indexed_iter_mut() {
        *value = if column == 3 && row % 7 == 0 { f64::NAN } else { *value * stretch[column] + shift[column] };
    }
    let scaler = StandardScaler::fit(rows.as_slice().unwrap(), 5, true, true).unwrap();
    for (found, name) in
        [(&scaler.mean, "mean"), (&scaler.variance, "variance"), (&scaler.scale, "scale"), (&scaler.samples, "samples")]
    {
        for (column, (a, b)) in found.iter().zip(numbers(&expected[name])).enumerate() {
            // Of the constant column scikit-learn's variance is rounding noise.
            assert!((a - b).abs() <= 1e-12 * b.abs() + 1e-30, "{name} of column {column}: {a} is not {b}");
        }
    }
    scaler.apply(rows.as_slice_mut().unwrap());
    close(rows.row(500).as_slice().unwrap(), &numbers(&expected["row_500"]), 1e-9, "row 500");
    assert!(rows[[0, 3]].is_nan() && rows[[500, 4]].abs() < 1e-9);
    assert_eq!(StandardScaler::from_bytes(&scaler.to_bytes()), Ok(scaler));
}
