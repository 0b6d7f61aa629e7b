//! LSI in one pass against a slow oracle, its error bound, and its promise of the same bits.

mod common;

use common::jobs::job;
use common::matrices::{oracle, random_matrix, write};
use corpuscle::dispatch::Corpus;
use corpuscle::lsi::model::{LsiModel, Origin};
use corpuscle::lsi::one_pass::{Earlier, train};
use corpuscle::lsi::params::OnePassParams;
use corpuscle::lsi::train::save;
use ndarray::{Array2, Axis, concatenate, s};
use std::fs;
use std::path::{Path, PathBuf};

/// Rounding of f32 vectors and products, in relation to the largest singular value.
const ROUNDING: f64 = 2e-6;

fn params(topics: usize, chunk_documents: u64) -> OnePassParams {
    OnePassParams { topics, chunk_documents, decay: 1.0, polish: 0, residuals: true, seed: 1 }
}

/// Trains on as many ranks, beginning with the model `update`, and writes the model beside the corpus.
fn run(
    path: &Path,
    ranks: usize,
    threads: usize,
    scatter: bool,
    params: &OnePassParams,
    update: Option<&Path>,
) -> PathBuf {
    let saved = path.with_extension(format!("{ranks}-{threads}-{scatter}.lsi"));
    let _writing = common::writing();
    let results = job(ranks, threads, scatter, |job| {
        let corpus = Corpus::open(job, path)?;
        let earlier = update.map(|model| Earlier::load(job, model, &corpus)).transpose()?;
        let documents = corpus.header().documents + earlier.as_ref().map_or(0, Earlier::documents);
        let plan = params.check(documents, corpus.header().terms)?;
        let (_, model) = train(job, &corpus, &plan, earlier)?;
        save(job, &model, job.target(&saved)?, &Origin::default())
    });
    results.into_iter().for_each(|result| result.expect("training"));
    saved
}

fn model(path: &Path, params: &OnePassParams, update: Option<&Path>) -> LsiModel {
    LsiModel::load(&run(path, 1, 1, false, params, update)).expect("a model")
}

/// A corpus in a folder of its own.
fn corpus(matrix: &Array2<f32>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    write(&path, matrix);
    (folder, path)
}

/// The largest difference of singular values, in relation to the largest value.
fn error(model: &LsiModel, expected: &[f64]) -> f64 {
    let pairs = model.singular_values.iter().zip(expected);
    pairs.map(|(found, exact)| (found - exact).abs() / expected[0]).fold(0.0, f64::max)
}

#[test]
fn nothing_is_lost_while_the_width_holds_the_rank() {
    // 40 terms: a width of 40 holds everything.
    let matrix = random_matrix(300, 40);
    let (_folder, path) = corpus(&matrix);
    for chunk_documents in [1000, 100, 37, 299] {
        let model = model(&path, &params(20, chunk_documents), None);
        assert_eq!(model.topics(), 20);
        assert!(error(&model, &oracle(&matrix)) < ROUNDING, "chunks of {chunk_documents}");
        assert!(model.residuals.iter().all(|&residual| residual < 1e-4), "{:?}", model.residuals);
    }
}

#[test]
fn documents_without_terms_and_chunks_of_one_document_are_no_trouble() {
    let mut matrix = random_matrix(40, 30);
    matrix.slice_mut(s![10..25, ..]).fill(0.0);
    let (_folder, path) = corpus(&matrix);
    for chunk_documents in [1, 5, 15] {
        let model = model(&path, &params(15, chunk_documents), None);
        assert!(error(&model, &oracle(&matrix)) < ROUNDING, "chunks of {chunk_documents}");
    }
}

#[test]
fn no_singular_value_is_further_off_than_what_merges_may_drop() {
    let matrix = random_matrix(600, 400);
    let (_folder, path) = corpus(&matrix);
    let exact = oracle(&matrix);
    let without = OnePassParams { residuals: false, ..params(20, 150) };
    let found = model(&path, &without, None);
    // Four chunks and three merges; none drops more than the first value behind the width of 40, and nothing is added.
    // Decomposing a chunk in few rounds adds a little.
    let most = 7.0 * exact[40];
    for (found, exact) in found.singular_values.iter().zip(&exact) {
        assert!(*found <= exact * (1.0 + ROUNDING) && exact - found <= most, "{found} for {exact}, at most {most} off");
    }
    assert!(found.residuals.iter().all(|residual| residual.is_nan()));
    // Going through the corpus again, the Rayleigh quotients are closer, and Krylov rounds bring the exact values.
    let mut errors = vec![error(&found, &exact), error(&model(&path, &params(20, 150), None), &exact)];
    for polish in [1, 2, 4] {
        errors.push(error(&model(&path, &OnePassParams { polish, ..params(20, 150) }, None), &exact));
    }
    assert!(errors.windows(2).all(|pair| pair[1] < pair[0]), "{errors:?}");
    assert!(errors[4] < 1e-4, "{errors:?}");
}

#[test]
fn earlier_documents_fade_by_chunks() {
    let matrix = random_matrix(90, 40);
    let (_folder, path) = corpus(&matrix);
    let params = OnePassParams { decay: 0.7, residuals: false, ..params(20, 20) };
    let found = model(&path, &params, None);
    // Five chunks, of which the last counts fully.
    let mut faded = matrix;
    for (row, mut document) in faded.rows_mut().into_iter().enumerate() {
        document.mapv_inplace(|value| value * 0.7f32.powi(4 - (row / 20) as i32));
    }
    assert!(error(&found, &oracle(&faded)) < ROUNDING);
    let norm: f64 = faded.iter().map(|&value| f64::from(value).powi(2)).sum();
    assert!((found.frobenius_squared / norm - 1.0).abs() < 1e-6);
}

#[test]
fn an_updated_model_is_that_of_all_documents() {
    let matrix = random_matrix(240, 40);
    let (_folder, path) = corpus(&matrix.slice(s![..160, ..]).to_owned());
    let (_other, more) = corpus(&matrix.slice(s![160.., ..]).to_owned());
    // All 40 triplets are saved: nothing is lost.
    let first = run(&path, 1, 1, false, &params(40, 50), None);
    let updated = model(&more, &params(40, 50), Some(&first));
    assert!(error(&updated, &oracle(&matrix)) < ROUNDING);
    assert_eq!(updated.documents, 240);
    assert!(updated.residuals.iter().all(|residual| residual.is_nan()), "the earlier documents are not at hand");
    let norm: f64 = matrix.iter().map(|&value| f64::from(value).powi(2)).sum();
    assert!((updated.frobenius_squared / norm - 1.0).abs() < 1e-6);
    // 10 triplets were saved: no value is further off than the first that was not (Weyl), and the chunks' own.
    let first = run(&path, 1, 1, false, &params(10, 1000), None);
    let updated = model(&more, &params(10, 1000), Some(&first));
    let parts = [s![..160, ..], s![160.., ..]].map(|part| oracle(&matrix.slice(part).to_owned()));
    let most = parts[0][10] + parts[1][20] + parts[0][20];
    for (found, exact) in updated.singular_values.iter().zip(oracle(&matrix)) {
        assert!((found - exact).abs() <= most, "{found} for {exact}, at most {most} off");
    }
    // With decay, the model fades once for every new chunk.
    let first = run(&path, 1, 1, false, &params(40, 50), None);
    let faded = model(&more, &OnePassParams { decay: 0.5, ..params(40, 40) }, Some(&first));
    let weights = |row: usize| if row < 160 { 0.25f32 } else { [0.5, 1.0][(row - 160) / 40] };
    let blocks: Vec<_> =
        matrix.rows().into_iter().enumerate().map(|(row, x)| (&x * weights(row)).insert_axis(Axis(0))).collect();
    let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
    assert!(error(&faded, &oracle(&concatenate(Axis(0), &views).expect("rows"))) < ROUNDING);
}

#[test]
fn what_does_not_fit_is_named() {
    let (folder, path) = corpus(&random_matrix(40, 30));
    let (_other, foreign) = corpus(&random_matrix(40, 20));
    let saved = run(&path, 1, 1, false, &params(5, 20), None);
    let output = folder.path().join("out.h5");
    let lsi = |corpus: &Path, options: &[&str]| {
        let paths = [corpus.as_os_str(), "-o".as_ref(), output.as_os_str()];
        common::alone(["lsi".as_ref()].into_iter().chain(paths).chain(options.iter().map(|option| option.as_ref())))
    };
    lsi(&path, &["-k", "5", "--decay", "0.5"]).failed(2, &["--decay", "--one-pass"]);
    lsi(&path, &["-k", "5", "--one-pass", "--decay", "1.5"]).failed(2, &["--decay 1.5"]);
    lsi(&path, &["-k", "5", "--one-pass", "--chunk-documents", "0"]).failed(2, &["--chunk-documents 0"]);
    lsi(&path, &["-k", "31", "--one-pass"]).failed(2, &["-k 31", "30 terms"]);
    lsi(&path, &["--one-pass", "--rounds", "3"]).failed(2, &["--one-pass", "cannot be used with", "--rounds"]);
    let saved = saved.to_str().expect("a path of the test");
    lsi(&foreign, &["--update", saved]).failed(1, &["dictionary is not that of the model"]);
    lsi(&path, &["--update", path.to_str().expect("a path of the test")]).failed(1, &["where an LSI model is wanted"]);
    lsi(&path, &["--update", saved, "-k", "31"]).failed(2, &["-k 31"]);
    assert!(!output.exists());
    lsi(&path, &["--update", saved]).ok();
    assert_eq!(LsiModel::load(&output).expect("a model").documents, 80);
}

#[test]
fn the_same_bytes_on_any_number_of_ranks_and_threads() {
    let (_folder, path) = corpus(&random_matrix(500, 5000));
    for params in [params(16, 60), OnePassParams { polish: 2, decay: 0.9, ..params(16, 60) }] {
        let first = fs::read(run(&path, 1, 1, false, &params, None)).expect("a model");
        for (ranks, threads, scatter) in [(1, 2, false), (2, 1, false), (3, 1, true), (4, 2, false), (6, 1, true)] {
            let other = fs::read(run(&path, ranks, threads, scatter, &params, None)).expect("a model");
            assert!(other == first, "{ranks} ranks, {threads} threads, scatter {scatter}");
        }
    }
    let earlier = run(&path, 1, 1, false, &params(16, 60), None);
    let updated = |ranks| fs::read(run(&path, ranks, 1, false, &params(16, 60), Some(&earlier))).expect("a model");
    let first = updated(5);
    assert!(updated(3) == first && updated(4) == first);
}
