//! `pca`, `nmf` and `project`: numbers beside scikit-learn's, gensim's and slow oracles, the same bytes for any ranks, and what they
//! refuse.

mod common;

use std::fs;
use std::path::Path;

use common::{alone, digest, has_mpi, matrices, ranks, text, writing};
use corpuscle::linalg::dense::symmetric_eigen;
use corpuscle::nmf::model::NmfModel;
use corpuscle::pca::model::PcaModel;
use corpuscle::projection::model::ProjectionModel;
use corpuscle::random::Stream;
use corpuscle::store::atomic::Target;
use corpuscle::store::file::Format;
use corpuscle::store::model::{ModelReader, ModelWriter};
use ndarray::{Array1, Array2, Axis, s};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// What fixtures/factors.py wrote.
fn reference() -> Value {
    serde_json::from_str(include_str!("fixtures/factors.json")).expect("JSON")
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn table(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().expect("rows").iter().map(list).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).expect("a matrix")
}

fn write_npy(path: &Path, rows: &Array2<f64>) {
    let head = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {:?}, }}", rows.dim());
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{head:<117}\n").as_bytes());
    bytes.extend(rows.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).expect("written");
}

fn read_npy(path: &Path) -> Array2<f64> {
    let bytes = fs::read(path).expect("read");
    let head = String::from_utf8_lossy(&bytes[..128]).into_owned();
    let columns = head.split(", ").nth(3).and_then(|rest| rest.split(')').next()).expect("a shape");
    let columns: usize = columns.parse().expect("a number");
    let begin = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let values: Vec<f64> = bytes[begin..].as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    Array2::from_shape_vec((values.len() / columns, columns), values).expect("whole rows")
}

#[track_caller]
fn close(found: impl IntoIterator<Item = f64>, expected: &[f64], tolerance: f64) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "{at}: {found} for {expected}");
    }
}

/// Runs a command with these files, alone and on several ranks, sent and seen; all give one file.
#[track_caller]
fn same_bytes(folder: &TempDir, arguments: &[&str], more: &[usize]) {
    let out = folder.path().join("out");
    let mut expected = None;
    for &size in [&[1][..], more].concat().iter().filter(|&&size| size == 1 || has_mpi()) {
        for scatter in [&[][..], &["--scatter"]] {
            ranks(size, [arguments, scatter, &["-q", "-o", text(&out)]].concat()).ok();
            let digest = digest(&out);
            assert_eq!(*expected.get_or_insert(digest.clone()), digest, "{size} ranks {scatter:?}: {arguments:?}");
            fs::remove_file(&out).unwrap();
        }
    }
}

/// Against `PCA(svd_solver="full")`, of columns whose sizes differ by 10^4 and one with a mean of 10^6.
#[test]
fn components_of_dense_rows_are_scikit_learns() {
    let (folder, reference) = (tempdir().unwrap(), reference());
    let [rows, model, out] = ["x.npy", "pca.h5", "y.npy"].map(|name| folder.path().join(name));
    write_npy(&rows, &table(&reference["rows"]));
    let expected = &reference["pca"];
    for (whiten, name) in [(&[][..], "transformed"), (&["--whiten"], "whitened")] {
        alone([&["pca", text(&rows), "-k", "5", "-o", text(&model)], whiten].concat()).ok();
        alone(["transform", text(&model), text(&rows), "-o", text(&out)]).ok();
        let expected = table(&expected[name]);
        let found = read_npy(&out);
        assert_eq!(found.dim(), (60, 5));
        let scale = expected.iter().fold(0f64, |most, value| most.max(value.abs()));
        close(found.slice(s![..3, ..]).iter().copied(), expected.as_slice().unwrap(), 1e-8 * scale);
    }
    let model = PcaModel::load(&model).expect("a model");
    let variance = list(&expected["explained_variance"]);
    close(model.mean.clone(), &list(&expected["mean"]), 1e-9);
    // Both lose digits of the small ones beside the largest.
    close(model.explained_variance(), &variance, 1e-12 * variance[0]);
    close(model.explained_variance_ratio(), &list(&expected["explained_variance_ratio"]), 1e-12);
    close(model.singular_values.clone(), &list(&expected["singular_values"]), 1e-9);
    close([model.noise_variance()], &[expected["noise_variance"].as_f64().unwrap()], 1e-9 * variance[0]);
    let components = table(&expected["components"]);
    close(model.components.t().iter().copied(), components.as_slice().unwrap(), 1e-9);
    assert!(model.residuals.iter().all(|residual| *residual < 1e-9), "{:?}", model.residuals);
}

/// Against covariances by three loops, of so many rows that they make several blocks.
#[test]
fn blocks_of_rows_add_up_to_the_covariances() {
    let folder = tempdir().unwrap();
    let [rows, model] = ["x.npy", "pca.h5"].map(|name| folder.path().join(name));
    let mut stream = Stream::new(2, "rows", 0);
    let factors = Array2::from_shape_fn((300, 5), |_| stream.normal());
    let x = Array2::from_shape_fn((2300, 5), |_| stream.normal()).dot(&factors.t())
        + 3.0
        + Array2::from_shape_fn((2300, 300), |_| 0.1 * stream.normal());
    write_npy(&rows, &x);
    alone(["pca", text(&rows), "-k", "7", "-o", text(&model)]).ok();
    let model = PcaModel::load(&model).expect("a model");
    let mean = x.mean_axis(Axis(0)).unwrap();
    let centred = &x - &mean;
    let (values, vectors) = symmetric_eigen(&(centred.t().dot(&centred) / 2299.0)).unwrap();
    close(model.explained_variance(), &values.as_slice().unwrap()[..7], 1e-11 * values[0]);
    for (found, expected) in model.components.columns().into_iter().zip(vectors.columns()) {
        assert!((found.dot(&expected).abs() - 1.0).abs() < 1e-9);
        let largest = found.iter().fold(0f64, |most, &x| if x.abs() > most.abs() { x } else { most });
        assert!(largest > 0.0);
    }
    // Vectors in double precision are as good for an index as others.
    let [vectors, index] = ["y.h5", "index.h5"].map(|name| folder.path().join(name));
    alone(["transform", text(&folder.path().join("pca.h5")), text(&rows), "-o", text(&vectors)]).ok();
    alone(["index", text(&vectors), "-o", text(&index)]).ok();
    let said = alone(["query", text(&index), text(&vectors), "--top", "1", "--format", "csv"]).ok().stdout;
    assert!(said.lines().nth(2300).is_some_and(|line| line.starts_with("2299,1,2299,")), "{said}");
    let arguments = ["pca", text(&rows), "-k", "7"];
    same_bytes(&folder, &arguments, &[2, 3, 5]);
}

/// A corpus is not filled, and its components are those of scikit-learn's PCA of the filled matrix all the same.
#[test]
fn components_of_a_corpus_are_those_of_its_dense_matrix() {
    let (folder, reference) = (tempdir().unwrap(), reference());
    let [corpus, model, out] = ["corpus.h5", "pca.h5", "y.h5"].map(|name| folder.path().join(name));
    matrices::write(&corpus, &table(&reference["counts"]).mapv(|value| value as f32));
    let expected = &reference["counts_pca"];
    for (whiten, name) in [(&[][..], "transformed"), (&["--whiten"], "whitened")] {
        let arguments = ["pca", text(&corpus), "-k", "6", "--tolerance", "1e-6", "-o", text(&model)];
        alone([&arguments, whiten].concat()).ok();
        alone(["transform", text(&model), text(&corpus), "-o", text(&out)]).ok();
        let vectors = ModelReader::open(&out, Format::Vectors).unwrap();
        let found = vectors.table::<f32>("vectors").unwrap().mapv(f64::from);
        let expected = table(&expected[name]);
        close(found.slice(s![..3, ..]).iter().copied(), expected.as_slice().unwrap(), 2e-4);
        assert_eq!(vectors.all_strings("ids").unwrap()[149], "149");
    }
    let found = PcaModel::load(&model).expect("a model");
    // Components are f32, and so is their length of 1.
    let variance = list(&expected["explained_variance"]);
    close(found.explained_variance(), &variance, 1e-7 * variance[0]);
    close(found.explained_variance_ratio(), &list(&expected["explained_variance_ratio"]), 1e-7);
    close(found.mean.clone(), &list(&expected["mean"]), 1e-9);
    let components = table(&expected["components"]);
    close(found.components.t().iter().copied(), components.as_slice().unwrap(), 1e-5);
    let shown = alone(["topics", text(&model), "-n", "2", "--words", "3", "--format", "csv"]).ok().stdout;
    assert!(shown.starts_with("topic,explained_variance,residual,position,term,weight\n0,"), "{shown}");
    assert_eq!(shown.lines().count(), 7);
}

#[test]
fn a_spread_corpus_gives_the_same_components() {
    let folder = tempdir().unwrap();
    let corpus = folder.path().join("corpus.h5");
    // Rows of several blocks, so that every worker has some.
    matrices::write(&corpus, &matrices::random_matrix(900, 7000));
    same_bytes(&folder, &["pca", text(&corpus), "-k", "6", "--whiten"], &[2, 3, 5]);
    same_bytes(&folder, &["nmf", text(&corpus), "-k", "7", "--chunksize", "200", "--passes", "2"], &[2, 3, 5]);
}

/// How far |V - W H| / |V| is from what the model says, by least squares of our own.
fn solve(g: &Array2<f64>, b: &Array1<f64>) -> Array1<f64> {
    let mut x = Array1::<f64>::zeros(b.len());
    for _ in 0..20_000 {
        let before = x.clone();
        for j in 0..x.len() {
            if g[[j, j]] > 0.0 {
                x[j] = (x[j] + (b[j] - g.row(j).dot(&x)) / g[[j, j]]).max(0.0);
            }
        }
        if (&x - &before).iter().all(|step| step.abs() < 1e-13) {
            break;
        }
    }
    x
}

/// The whole of training by loops in f64: one minibatch a pass, so that order plays no part.
#[test]
fn factors_are_those_of_a_slow_oracle() {
    let (folder, reference) = (tempdir().unwrap(), reference());
    let [corpus, model] = ["corpus.h5", "nmf.h5"].map(|name| folder.path().join(name));
    let v = table(&reference["counts"]);
    matrices::write(&corpus, &v.mapv(|value| value as f32));
    let exact = "--h-max-iter 20000 --w-max-iter 20000 --h-stop-condition 1e-12 --w-stop-condition 1e-12";
    let arguments = ["nmf", text(&corpus), "-k", "4", "--passes", "3", "-o", text(&model)];
    alone(arguments.into_iter().chain(exact.split(' '))).ok();
    let (terms, k) = (v.ncols(), 4);
    let scaled = |w: &mut Array2<f64>| {
        for mut column in w.columns_mut() {
            let length = column.dot(&column).sqrt();
            column.mapv_inplace(|x| x / length);
        }
    };
    let mut w = Array2::zeros((terms, k));
    for (term, mut row) in w.rows_mut().into_iter().enumerate() {
        let mut stream = Stream::new(1, "nmf start", term as u64);
        row.mapv_inplace(|_: f64| stream.normal().abs());
    }
    scaled(&mut w);
    let infer = |w: &Array2<f64>| {
        let g = w.t().dot(w);
        let rows: Vec<f64> = v.rows().into_iter().flat_map(|v| solve(&g, &w.t().dot(&v))).collect();
        Array2::from_shape_vec((v.nrows(), k), rows).unwrap()
    };
    for _ in 0..3 {
        // Documents x topics: a pass of one minibatch replaces what was known.
        let h = infer(&w);
        let (a, b) = (h.t().dot(&h), v.t().dot(&h));
        for (mut w, b) in w.rows_mut().into_iter().zip(b.rows()) {
            w.assign(&solve(&a, &b.to_owned()));
        }
        scaled(&mut w);
    }
    let found = NmfModel::load(&model).expect("a model");
    close(found.term_topic.iter().map(|&x| f64::from(x)), w.as_standard_layout().as_slice().unwrap(), 2e-4);
    let h = infer(&w);
    let difference = &v - &h.dot(&w.t());
    let error = (difference.mapv(|x| x * x).sum() / v.mapv(|x| x * x).sum()).sqrt();
    assert!((found.relative_error - error).abs() < 1e-5, "{} {error}", found.relative_error);
    let shares: Vec<f64> = (0..k).map(|j| h.column(j).sum() * w.column(j).sum()).collect();
    let sum: f64 = shares.iter().sum();
    close(found.topic_share.clone(), &shares.iter().map(|share| share / sum).collect::<Vec<_>>(), 1e-4);
}

/// As good as scikit-learn's NMF of the whole matrix, and better than gensim's with the same passes over the same chunks.
#[test]
fn errors_are_no_larger_than_those_of_others() {
    let (folder, reference) = (tempdir().unwrap(), reference());
    let [corpus, model] = ["corpus.h5", "nmf.h5"].map(|name| folder.path().join(name));
    matrices::write(&corpus, &table(&reference["counts"]).mapv(|value| value as f32));
    let error = |passes: &str| {
        let arguments = ["nmf", text(&corpus), "-k", "6", "--chunksize", "50", "--passes", passes, "-o", text(&model)];
        alone(arguments).ok();
        NmfModel::load(&model).expect("a model").relative_error
    };
    let theirs = |pointer: &str| reference["nmf"].pointer(pointer).unwrap().as_f64().unwrap();
    let (one, twenty) = (error("1"), error("20"));
    println!(
        "1 pass {one}, gensim {}; 20 passes {twenty}, gensim {}, scikit-learn {}",
        theirs("/gensim/1"),
        theirs("/gensim/20"),
        theirs("/scikit-learn")
    );
    assert!(one < theirs("/gensim/1") && twenty < theirs("/gensim/20"));
    assert!(twenty < 1.02 * theirs("/scikit-learn"));
    let shown = alone(["topics", text(&model), "--words", "3", "--format", "csv"]).ok().stdout;
    assert_eq!(shown.lines().count(), 19);
    assert!(shown.starts_with("topic,share,position,term,weight\n"), "{shown}");
}

#[test]
fn weights_of_documents_are_shares_unless_said_otherwise() {
    let (folder, reference) = (tempdir().unwrap(), reference());
    let [corpus, model, out] = ["corpus.h5", "nmf.h5", "h.h5"].map(|name| folder.path().join(name));
    let v = table(&reference["counts"]);
    matrices::write(&corpus, &v.mapv(|value| value as f32));
    let vectors = |nmf: &[&str], transform: &[&str]| {
        alone([&["nmf", text(&corpus), "-k", "6", "--passes", "5", "-o", text(&model)], nmf].concat()).ok();
        alone([&["transform", text(&model), text(&corpus), "-o", text(&out)], transform].concat()).ok();
        let vectors = ModelReader::open(&out, Format::Vectors).unwrap();
        vectors.table::<f32>("vectors").unwrap().mapv(f64::from)
    };
    let plain = vectors(
        &["--no-normalize", "--minimum-probability", "0", "--h-stop-condition", "1e-9", "--h-max-iter", "999"],
        &[],
    );
    let w = NmfModel::load(&model).unwrap().term_topic.mapv(f64::from);
    let g = w.t().dot(&w);
    for (found, v) in plain.rows().into_iter().zip(v.rows()) {
        let expected = solve(&g, &w.t().dot(&v));
        close(found.iter().copied(), expected.as_slice().unwrap(), 1e-3);
    }
    let shares = vectors(&[], &[]);
    let all = vectors(&[], &["--minimum-probability", "0"]);
    assert!(shares.iter().all(|&share| share == 0.0 || share >= 0.01));
    assert!(all.iter().any(|&share| share > 0.0 && share < 0.01));
    assert!(all.sum_axis(Axis(1)).iter().all(|sum| (sum - 1.0).abs() < 1e-5));
}

#[test]
fn projections_are_products_with_the_matrix_they_name() {
    let folder = tempdir().unwrap();
    let [rows, corpus, model, out, vectors] =
        ["x.npy", "corpus.h5", "p.h5", "y.npy", "y.h5"].map(|name| folder.path().join(name));
    let sparse = matrices::random_matrix(300, 1200);
    matrices::write(&corpus, &sparse);
    let x = sparse.mapv(f64::from);
    write_npy(&rows, &x);
    for more in [&[][..], &["--density", "0.3"], &["--density", "1"], &["--matrix", "gaussian", "--seed", "9"]] {
        alone([&["project", text(&rows), "-k", "150", "-o", text(&model)], more].concat()).ok();
        let of_rows = ProjectionModel::load(&model).unwrap();
        assert!(fs::metadata(&model).unwrap().len() < 20_000);
        let expected = x.dot(&of_rows.matrix.dense());
        alone(["transform", text(&model), text(&rows), "-o", text(&out)]).ok();
        close(read_npy(&out).iter().copied(), expected.as_slice().unwrap(), 1e-10);
        alone([&["project", text(&corpus), "-k", "150", "-o", text(&model)], more].concat()).ok();
        assert_eq!(ProjectionModel::load(&model).unwrap().matrix, of_rows.matrix);
        alone(["transform", text(&model), text(&corpus), "-o", text(&vectors)]).ok();
        let found = ModelReader::open(&vectors, Format::Vectors).unwrap().table::<f32>("vectors").unwrap();
        close(found.iter().map(|&y| f64::from(y)), expected.as_slice().unwrap(), 1e-4);
        same_bytes(&folder, &["transform", text(&model), text(&corpus)], &[3]);
        // Distances, which all of this is for: 150 columns keep them to within a half and mostly much better.
        let distance = |x: &Array2<f64>, i: usize, j: usize| (&x.row(i) - &x.row(j)).mapv(|x| x * x).sum().sqrt();
        let ratios: Vec<f64> = (0..299).map(|i| distance(&expected, i, i + 1) / distance(&x, i, i + 1)).collect();
        assert!(ratios.iter().all(|ratio| (0.6..1.5).contains(ratio)), "{ratios:?}");
        assert!((ratios.iter().sum::<f64>() / 299.0 - 1.0).abs() < 0.03);
    }
    let said = alone(["project", text(&rows), "--eps", "0.4", "-o", text(&model)]).ok().stderr;
    assert_eq!(ProjectionModel::load(&model).unwrap().matrix.width, 388, "{said}");
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [rows, narrow, corpus, out] = ["x.npy", "narrow.npy", "corpus.h5", "out.h5"].map(at);
    let x = Array2::from_shape_fn((30, 4), |(i, j)| ((i * 7 + j * 3) % 11) as f64);
    write_npy(&rows, &x);
    write_npy(&narrow, &x.slice(s![.., ..3]).to_owned());
    matrices::write(&corpus, &matrices::random_matrix(40, 30));
    let run = |words: &str, more: &[&Path]| {
        let words = words.split(' ').chain(more.iter().map(|path| text(path))).chain(["-o", text(&out)]);
        alone(words.collect::<Vec<_>>())
    };
    run("pca -k 5", &[&rows]).failed(2, &["-k 5: from 1 to 4", "x.npy has 30 rows of 4 columns"]);
    run("pca --tolerance 0.1", &[&rows]).failed(2, &["--tolerance goes with a corpus"]);
    run("pca", &[&at("missing.npy")]).failed(1, &["missing.npy", "No such file"]);
    write_npy(&at("one.npy"), &x.slice(s![..1, ..]).to_owned());
    run("pca", &[&at("one.npy")]).failed(1, &["one.npy has 1 rows", "two rows at least"]);
    let mut missing = x.clone();
    missing[[17, 2]] = f64::NAN;
    write_npy(&at("nan.npy"), &missing);
    run("pca -k 2", &[&at("nan.npy")]).failed(1, &["nan.npy", "column 2 lacks 1 of 30 values"]);
    write_npy(&at("flat.npy"), &Array2::from_elem((9, 3), 2.0));
    run("pca -k 2", &[&at("flat.npy")]).failed(1, &["flat.npy", "no column varies"]);
    matrices::write(&at("alike.h5"), &Array2::from_elem((9, 5), 2.0));
    run("pca -k 2", &[&at("alike.h5")]).failed(1, &["alike.h5", "all documents are alike"]);

    run("project", &[&rows]).failed(2, &["required"]);
    run("project --eps 0.1", &[&rows]).failed(2, &["more than the 4 there are"]);
    run("project --eps 1", &[&rows]).failed(2, &["must lie between 0 and 1"]);
    run("project -k 2 --density 0", &[&rows]).failed(2, &["--density 0"]);
    run("project -k 2 --matrix gaussian --density 0.5", &[&rows]).failed(2, &["--density goes with --matrix sparse"]);

    for (words, says) in [
        ("nmf -k 0", "-k 0"),
        ("nmf --kappa 1.5", "--kappa 1.5"),
        ("nmf --passes 0", "--passes 0"),
        ("nmf --chunksize 0", "--chunksize 0"),
        ("nmf --h-stop-condition=-1", "--h-stop-condition -1"),
        ("nmf --minimum-probability 2", "--minimum-probability 2"),
    ] {
        run(words, &[&corpus]).failed(2, &[says]);
    }
    let mut below = Array2::<f32>::eye(12);
    below[[7, 3]] = -1.0;
    matrices::write(&at("below.h5"), &below);
    run("nmf -k 2", &[&at("below.h5")]).failed(1, &["below.h5", "document 7", "below 0"]);
    run("nmf -k 2", &[&rows]).failed(1, &["x.npy"]);

    let [pca, sparse_pca, projection, nmf] = ["pca.h5", "sparse-pca.h5", "p.h5", "nmf.h5"].map(at);
    alone(["pca", text(&rows), "-k", "2", "-o", text(&pca)]).ok();
    alone(["pca", text(&corpus), "-k", "2", "-o", text(&sparse_pca)]).ok();
    alone(["project", text(&rows), "-k", "2", "-o", text(&projection)]).ok();
    alone(["nmf", text(&corpus), "-k", "2", "-o", text(&nmf)]).ok();
    run("transform", &[&pca, &narrow]).failed(1, &["narrow.npy", "3 columns", "made of 4"]);
    run("transform", &[&pca, &corpus]).failed(1, &["corpus.h5", "made from dense rows"]);
    run("transform", &[&sparse_pca, &rows]).failed(1, &["x.npy", "made from a corpus"]);
    run("transform", &[&projection, &narrow]).failed(1, &["narrow.npy", "is for 4"]);
    run("transform", &[&projection, &corpus]).failed(1, &["is for dense rows"]);
    run("transform", &[&pca, &at("nan.npy")]).failed(1, &["nan.npy", "row 17, column 2"]);
    run("transform --scaled", &[&pca, &rows]).failed(2, &["--scaled goes with an LSI model"]);
    run("transform --minimum-probability 0.1", &[&pca, &rows]).failed(2, &["an LDA or NMF model"]);
    run("transform --dataset x", &[&nmf, &corpus]).failed(2, &["--dataset and --label-field go with"]);
    matrices::write(&at("other.h5"), &matrices::random_matrix(9, 31));
    for model in [&sparse_pca, &nmf] {
        run("transform", &[model, &at("other.h5")]).failed(1, &["other.h5", "its dictionary is not that of the model"]);
    }
    alone(["topics", text(&pca)]).failed(1, &["pca.h5", "a PCA of dense rows"]);
    alone(["topics", text(&projection)]).failed(1, &["p.h5", "holds a random projection"]);
    assert!(!out.exists());
}

/// Names and labels of rows stay with them, and single precision stays single.
#[test]
fn vectors_of_ours_keep_their_names() {
    let folder = tempdir().unwrap();
    let [vectors, model, out] = ["x.h5", "pca.h5", "y.h5"].map(|name| folder.path().join(name));
    let x = Array2::from_shape_fn((300, 6), |(i, j)| ((i * 13 + j * j * 7) % 29) as f32);
    {
        let _held = writing();
        let mut file = ModelWriter::create(Target::create(&vectors).unwrap(), Format::Vectors).unwrap();
        file.table("vectors", x.view()).unwrap();
        file.strings("ids", (0..300).map(|row| format!("row {row}"))).unwrap();
        file.strings("labels", (0..300).map(|row| ["a", "b"][row % 2])).unwrap();
        file.finish(&serde_json::json!({})).unwrap();
    }
    alone(["pca", text(&vectors), "-k", "6", "-o", text(&model)]).ok();
    alone(["transform", text(&model), text(&vectors), "-o", text(&out)]).ok();
    let found = ModelReader::open(&out, Format::Vectors).unwrap();
    let y = found.table::<f32>("vectors").unwrap().mapv(f64::from);
    assert_eq!(found.all_strings("ids").unwrap()[299], "row 299");
    assert_eq!(found.all_strings("labels").unwrap()[1], "b");
    // All components: distances stay.
    let distance = |x: &Array2<f64>, i: usize, j: usize| (&x.row(i) - &x.row(j)).mapv(|x| x * x).sum().sqrt();
    let x = x.mapv(f64::from);
    assert!((0..299).all(|i| (distance(&x, i, i + 1) - distance(&y, i, i + 1)).abs() < 1e-4));
    same_bytes(&folder, &["transform", text(&model), text(&vectors)], &[2, 3]);
}
