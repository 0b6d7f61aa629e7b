//! `corpuscle scale`: the numbers, the same bytes for any ranks, every kind of input, and what it refuses.

mod common;

use common::matrices::write_npy;
use common::{alone, assert_all_gone, digest, has_mpi, ranks, text, truncated, writing};
use corpuscle::random::Stream;
use corpuscle::store::atomic::Target;
use corpuscle::store::file::Format;
use corpuscle::store::model::{ModelReader, ModelWriter};
use ndarray::Array2;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// Rows around means far from zero; one column does not vary.
fn rows(count: usize, columns: usize) -> Array2<f64> {
    let mut stream = Stream::new(5, "scale", 0);
    Array2::from_shape_fn((count, columns), |(_, column)| match column {
        1 => 4.0,
        _ => stream.normal() * (column + 1) as f64 + 100.0 * column as f64,
    })
}

fn read_npy(path: &Path, columns: usize) -> Array2<f64> {
    let bytes = fs::read(path).expect("read");
    let begin = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    assert!(begin.is_multiple_of(64) && bytes[begin - 1] == b'\n');
    let values: Vec<f64> = bytes[begin..].as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    Array2::from_shape_vec((values.len() / columns, columns), values).expect("whole rows")
}

fn write_vectors(path: &Path, rows: &Array2<f64>) {
    let _held = writing();
    let mut file = ModelWriter::create(Target::create(path).expect("a target"), Format::Vectors).expect("a file");
    file.table("vectors", rows.mapv(|value| value as f32).view()).expect("a table");
    file.strings("ids", (0..rows.nrows()).map(|row| format!("row {row}"))).expect("ids");
    file.strings("labels", (0..rows.nrows()).map(|row| ["a", "b"][row % 2])).expect("labels");
    file.finish(&serde_json::json!({})).expect("finished");
}

#[test]
fn columns_get_mean_0_and_variance_1_and_a_model_does_it_again() {
    let folder = tempdir().unwrap();
    let [input, out, model, again] = ["x.npy", "z.npy", "scaler.h5", "again.npy"].map(|name| folder.path().join(name));
    let x = rows(5000, 7);
    write_npy(&input, &x);
    alone(["scale", text(&input), "-o", text(&out), "--model-out", text(&model)]).ok();
    let z = read_npy(&out, 7);
    let scaler = ModelReader::open(&model, Format::Scaler).expect("a scaler");
    let [mean, variance, scale] = ["mean", "variance", "scale"].map(|name| scaler.list::<f64>(name).expect("a list"));
    for column in 0..7 {
        // The oracle sums deviations from the first value: no digits are lost.
        let first = x[[0, column]];
        let n = x.nrows() as f64;
        let m = x.column(column).iter().map(|v| v - first).sum::<f64>() / n;
        let v = x.column(column).iter().map(|v| (v - first - m).powi(2)).sum::<f64>() / n;
        assert!((mean[column] - first - m).abs() <= 1e-12 * (1.0 + first.abs()), "mean of column {column}");
        assert!((variance[column] - v).abs() <= 1e-12 * v, "variance of column {column}");
        assert_eq!(scale[column], if column == 1 { 1.0 } else { variance[column].sqrt() });
        for row in [0, 17, 4999] {
            assert_eq!(z[[row, column]], (x[[row, column]] - mean[column]) / scale[column]);
        }
    }
    alone(["scale", text(&input), "-o", text(&again), "--model", text(&model)]).ok();
    assert_eq!(digest(&again), digest(&out));
    alone(["scale", text(&input), "-o", text(&again), "--no-mean"]).ok();
    assert_eq!(read_npy(&again, 7)[[3, 2]], x[[3, 2]] / scale[2]);
    alone(["scale", text(&input), "-o", text(&again), "--no-std"]).ok();
    assert_eq!(read_npy(&again, 7)[[3, 2]], x[[3, 2]] - mean[2]);
}

#[test]
fn the_same_bytes_for_any_ranks_and_threads() {
    let folder = tempdir().unwrap();
    let [input, out, model] = ["x.npy", "z.h5", "scaler.h5"].map(|name| folder.path().join(name));
    // Blocks of 65,536 rows: three of them.
    write_npy(&input, &rows(140_000, 3));
    let arguments = ["scale", text(&input), "-o", text(&out), "--model-out", text(&model)];
    alone(arguments).ok();
    let expected = [digest(&out), digest(&model)];
    alone(arguments.iter().chain(&["--threads", "1", "--memory", "1K"])).ok();
    assert_eq!([digest(&out), digest(&model)], expected);
    if has_mpi() {
        for (count, way) in [(2, None), (3, Some("--scatter")), (5, None)] {
            ranks(count, arguments.into_iter().chain(way)).ok();
            assert_eq!([digest(&out), digest(&model)], expected, "{count} ranks");
        }
    }
}

#[test]
fn vectors_keep_their_names_and_precision_and_csv_its_labels() {
    let folder = tempdir().unwrap();
    let [vectors, csv, out] = ["x.h5", "x.csv", "z.h5"].map(|name| folder.path().join(name));
    let x = rows(300, 4);
    write_vectors(&vectors, &x);
    alone(["scale", text(&vectors), "-o", text(&out)]).ok();
    let scaled = ModelReader::open(&out, Format::Vectors).expect("vectors");
    assert_eq!(scaled.table::<f32>("vectors").expect("single precision").dim(), (300, 4));
    assert_eq!(scaled.all_strings("ids").expect("ids")[299], "row 299");
    assert_eq!(scaled.all_strings("labels").expect("labels")[1], "b");
    let lines: Vec<String> =
        x.rows().into_iter().map(|r| format!("{},{},{},kind,{}", r[0], r[1], r[2], r[3])).collect();
    fs::write(&csv, format!("a,b,c,label,d\n{}\n1,4,,kind,2\n", lines.join("\n"))).expect("written");
    alone(["scale", text(&csv), "-o", text(&out), "--label-field", "label"]).ok();
    let scaled = ModelReader::open(&out, Format::Vectors).expect("vectors");
    let z = scaled.table::<f64>("vectors").expect("double precision");
    assert_eq!(z.dim(), (301, 4));
    assert!(z[[300, 2]].is_nan() && z[[300, 0]].is_finite() && z[[300, 1]] == 0.0);
    assert_eq!(scaled.all_strings("labels").expect("labels")[300], "kind");
}

#[test]
fn sparse_rows_have_the_columns_of_the_model_they_are_scaled_with() {
    let folder = tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let [input, full, model, out, expected] = ["x.npy", "new.npy", "scaler.h5", "z.npy", "full.npy"].map(here);
    write_npy(&input, &rows(50, 4));
    alone(["scale", text(&input), "-o", text(&out), "--model-out", text(&model)]).ok();
    // The last column is zero in both rows, and stands in no line.
    write_npy(&full, &Array2::from_shape_vec((2, 4), vec![1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0]).unwrap());
    let sparse = here("new.svm");
    fs::write(&sparse, "0 1:1.5\n1 3:2\n").unwrap();
    alone(["scale", text(&full), "-o", text(&expected), "--model", text(&model)]).ok();
    for count in if has_mpi() { vec![1, 3] } else { vec![1] } {
        ranks(count, ["scale", text(&sparse), "-o", text(&out), "--model", text(&model)]).ok();
        assert_eq!(read_npy(&out, 4), read_npy(&expected, 4), "{count} ranks");
    }
    fs::write(&sparse, "0 7:1\n").unwrap();
    alone(["scale", text(&sparse), "-o", text(&out), "--model", text(&model)]).failed(1, &["7 columns", "made of 4"]);
}

#[test]
fn what_cannot_be_scaled_is_refused() {
    let folder = tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let [input, narrow, model, out] = ["x.npy", "narrow.npy", "scaler.h5", "z.npy"].map(here);
    write_npy(&input, &rows(50, 4));
    write_npy(&narrow, &rows(50, 3));
    alone(["scale", text(&input), "-o", text(&out), "--model-out", text(&model)]).ok();
    fs::remove_file(&out).unwrap();
    let scale = |input: &Path, more: &[&str]| alone(["scale", text(input), "-o", text(&out)].iter().chain(more));
    scale(&narrow, &["--model", text(&model)]).failed(1, &["narrow.npy", "3 columns", "made of 4"]);
    scale(&model, &[]).failed(1, &["scaler.h5", "holds a scaler where dense vectors are wanted"]);
    fs::rename(truncated(&input), here("short.npy")).unwrap();
    scale(&here("short.npy"), &[]).failed(1, &["short.npy", "truncated"]);
    scale(&input, &["--dataset", "x"]).failed(2, &["--dataset is for HDF5"]);
    alone(["scale", text(&input), "-o", text(&input)]).failed(2, &["input and output at once"]);
    let mut bad = rows(600, 4);
    bad[[300, 2]] = f64::NEG_INFINITY;
    write_npy(&here("bad.npy"), &bad);
    scale(&here("bad.npy"), &[]).failed(1, &["bad.npy", "row 300, column 2"]);
    write_npy(&here("none.npy"), &rows(0, 4));
    scale(&here("none.npy"), &[]).failed(1, &["0 rows", "nothing to learn from"]);
    fs::write(here("text.csv"), "a,b\n1,2\n3,x\n").unwrap();
    scale(&here("text.csv"), &[]).failed(1, &["text.csv:3", "\"x\"", "not a number"]);
    assert!(!out.exists());
    assert_all_gone(folder.path());
}
