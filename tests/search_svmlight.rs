//! Feature matrices in SVMlight's format for `search`, `predict` and `scale`: the same results as from the same numbers as CSV, which
//! are compared with scikit-learn's in tests/search.rs; sparse rows; classes and numbers to regress on.

mod common;

use common::{alone, digest, has_mpi, ranks, text, write};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

/// A table of numbers with its labels, as CSV and as SVMlight with columns from 1; zeros are left out of the latter.
fn both(folder: &Path, name: &str, rows: &[(String, Vec<f64>)]) -> [PathBuf; 2] {
    let columns = rows[0].1.len();
    let mut csv = (0..columns).map(|column| format!("c{column},")).collect::<String>() + "y\n";
    let mut svm = String::from("# a comment\n");
    for (label, values) in rows {
        csv += &(values.iter().map(|value| format!("{value},")).collect::<String>() + label + "\n");
        let pairs = values.iter().enumerate().filter(|(_, value)| **value != 0.0);
        svm += &(label.clone()
            + &pairs.map(|(column, value)| format!(" {}:{value}", column + 1)).collect::<String>()
            + "\n");
    }
    [write(folder, &format!("{name}.csv"), &csv), write(folder, &format!("{name}.svm"), &svm)]
}

/// Rows of the fixture, whose numbers have either sign.
fn fixture() -> Vec<(String, Vec<f64>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/search.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let label = reader.headers().unwrap().iter().position(|name| name == "label").unwrap();
    let row = |record: csv::StringRecord| {
        let values = record.iter().enumerate().filter(|(at, _)| *at != label);
        (record[label].to_owned(), values.map(|(_, value)| value.parse().unwrap()).collect())
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn means(path: &Path) -> Vec<f64> {
    json(path)["mean_test_score"].as_array().unwrap().iter().map(|mean| mean.as_f64().unwrap()).collect()
}

#[test]
fn full_rows_are_those_of_a_csv_to_the_bit_on_any_ranks() {
    let folder = tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let [csv, svm] = both(folder.path(), "rows", &fixture());
    let pipeline = write(
        folder.path(),
        "pipeline.toml",
        "[[step]]\nkind = \"scale\"\n[[step]]\nkind = \"logistic\"\n[grid]\nlogistic__C = [0.1, 1.0]\n",
    );
    let [out, model, said, scaled] = ["results.csv", "best.h5", "said.csv", "scaled.npy"].map(here);
    let search = |data: &Path, more: &[&str], count: usize| {
        let arguments = ["search", text(&pipeline), text(data), "-o", text(&out), "--model-out", text(&model)];
        ranks(count, arguments.iter().chain(more)).ok();
        alone(["predict", text(&model), text(data), "-o", text(&said)].iter().chain(more)).ok();
        alone(["scale", text(data), "-o", text(&scaled)].iter().chain(more)).ok();
        [digest(&out), digest(&said), digest(&scaled)]
    };
    let expected = search(&csv, &["--label-field", "y"], 1);
    for count in if has_mpi() { vec![1, 2, 3, 5] } else { vec![1] } {
        assert_eq!(search(&svm, &[], count), expected, "{count} ranks");
    }
    // Labels are in the file: what was said is compared with them.
    let report = alone(["predict", text(&model), text(&svm), "--show", "report"]).ok().stdout;
    assert!(report.contains("mid") && report.contains("accuracy"), "{report}");
    let packed = here("rows.svm.zst");
    fs::write(&packed, zstd::encode_all(&fs::read(&svm).unwrap()[..], 1).unwrap()).unwrap();
    assert_eq!(search(&packed, &[], 1), expected);
}

#[test]
fn sparse_rows_stay_sparse_and_numbers_are_regressed_on() {
    let folder = tempdir().unwrap();
    let [out, model] = ["results.json", "best.h5"].map(|name| folder.path().join(name));
    // Every third number of a third of the columns is there; y is a linear function of them, or its sign.
    let value = |row: usize, column: usize| {
        if (row + column).is_multiple_of(3) && column % 4 != 1 {
            ((row * 37 + column * 11) % 23) as f64 / 4.0 - 2.5
        } else {
            0.0
        }
    };
    let y = |values: &[f64]| {
        values.iter().enumerate().map(|(at, value)| value * ((at % 5) as f64 - 1.7)).sum::<f64>() + 0.3
    };
    let rows: Vec<Vec<f64>> = (0..120).map(|row| (0..12).map(|column| value(row, column)).collect()).collect();
    let numbers: Vec<_> = rows.iter().map(|row| (format!("{:.4}", y(row)), row.clone())).collect();
    let signs: Vec<_> =
        rows.iter().map(|row| ((if y(row) > 0.3 { "+1" } else { "-1" }).to_owned(), row.clone())).collect();
    for (name, rows, steps, best) in [
        (
            "numbers",
            numbers,
            "[[step]]\nkind = \"ridge\"\n[grid]\nridge__alpha = [0.001, 10.0]\n[cv]\nsplits = 4\n",
            0.99,
        ),
        (
            "signs",
            signs,
            "[[step]]\nkind = \"scale\"\nwith_mean = false\n[[step]]\nkind = \"logistic\"\ntol = 1e-9\n[grid]\n\
             logistic__C = [0.01, 10.0]\n",
            0.9,
        ),
    ] {
        let [csv, svm] = both(folder.path(), name, &rows);
        let pipeline = write(folder.path(), "pipeline.toml", steps);
        let search = ["search", text(&pipeline)];
        let last = ["-o", text(&out), "--model-out", text(&model)];
        alone(search.iter().chain(&[text(&csv), "--label-field", "y"]).chain(&last)).ok();
        let dense = means(&out);
        alone(search.iter().chain(&[text(&svm)]).chain(&last)).ok();
        let sparse = means(&out);
        assert!(dense.iter().any(|mean| *mean > best), "{name}: {dense:?}");
        for (a, b) in dense.iter().zip(&sparse) {
            assert!((a - b).abs() < 1e-9, "{name}: {dense:?}, {sparse:?}");
        }
        // Rows whose last columns are zeros have fewer of them than the pipeline.
        let new = write(folder.path(), "new.svm", "1 1:2.5\n-1 1:-2.5 3:1\n");
        let said = alone(["predict", text(&model), text(&new), "--format", "csv"]).ok().stdout;
        assert_eq!(said.lines().count(), 3, "{said}");
    }
    // As in scikit-learn, sparse rows are not centred: it would fill them.
    let svm = folder.path().join("signs.svm");
    let centred = write(
        folder.path(),
        "centred.toml",
        "[[step]]\nkind = \"scale\"\n[[step]]\nkind = \"logistic\"\n[search]\nerror_score = \"raise\"\n",
    );
    alone(["search", text(&centred), text(&svm), "-o", text(&out)]).failed(1, &["sparse rows cannot be centred"]);
    let bad = write(folder.path(), "bad.svm", "1 1:2\n-1 1:2 1:3\n");
    alone(["search", text(&centred), text(&bad), "-o", text(&out)]).failed(1, &["bad.svm:2", "column 1 twice"]);
    let prose = write(folder.path(), "prose.txt", "It was a dark night\n");
    alone(["search", text(&centred), text(&prose), "-o", text(&out)]).failed(1, &["prose.txt:1", "read as SVMlight"]);
}
