//! LSI against a slow oracle, and its promise of the same bits, with ranks as threads.

mod common;

use common::jobs::job;
use common::matrices::{oracle, random_matrix, write};
use corpuscle::dispatch::Corpus;
use corpuscle::linalg::rows::RowShares;
use corpuscle::lsi::model::{LsiModel, Origin};
use corpuscle::lsi::params::{LsiParams, TOLERANCE};
use corpuscle::lsi::train::{Training, save, train};
use corpuscle::random::Stream;
use corpuscle::report::account::Counters;
use ndarray::Array2;
use std::path::Path;

fn params(topics: usize) -> LsiParams {
    LsiParams { topics, tolerance: TOLERANCE, block: None, rounds: None, basis: None, seed: 1 }
}

fn run(path: &Path, ranks: usize, threads: usize, scatter: bool, params: &LsiParams) -> (Training, LsiModel) {
    let saved = path.with_extension("lsi");
    let results = job(ranks, threads, scatter, |job| {
        let corpus = Corpus::open(job, path)?;
        let plan = params.check(corpus.header().documents, corpus.header().terms)?;
        let (training, model) = train(job, &corpus, &plan)?;
        save(job, &model, job.target(&saved)?, &Origin::default())?;
        Ok(training)
    });
    let training = results.into_iter().next().expect("rank 0").expect("training");
    (training, LsiModel::load(&saved).expect("a model"))
}

fn check(matrix: &Array2<f32>, model: &LsiModel, tolerance: f64) {
    let expected = oracle(matrix);
    for (found, expected) in model.singular_values.iter().zip(&expected) {
        assert!((found / expected - 1.0).abs() <= tolerance, "{found} for {expected}");
    }
    let u = model.left_vectors.mapv(f64::from);
    let product = u.t().dot(&u);
    for ((i, j), value) in product.indexed_iter() {
        let unit = if i == j { 1.0 } else { 0.0 };
        // f32 vectors of unit length: rounding alone gives 1e-7.
        assert!((value - unit).abs() < 1e-5, "u{i}.u{j} = {value}");
    }
    let a = matrix.mapv(f64::from);
    let products = a.t().dot(&a.dot(&u));
    for (i, residual) in model.residuals.iter().enumerate() {
        let square = model.singular_values[i].powi(2);
        let difference = &products.column(i) - &(&u.column(i) * square);
        let expected = difference.dot(&difference).sqrt() / square;
        assert!((residual / expected - 1.0).abs() < 0.1 || expected < 1e-9, "residual {i}: {residual} for {expected}");
        let column = model.left_vectors.column(i);
        let largest = column
            .iter()
            .copied()
            .fold(0f32, |largest, value| if value.abs() > largest.abs() { value } else { largest });
        assert!(largest > 0.0, "sign of column {i}");
    }
}

#[test]
fn values_and_vectors_match_the_oracle() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    for (documents, terms, k) in [(400, 300, 30), (60, 500, 20), (500, 40, 10), (30, 3000, 25)] {
        let matrix = random_matrix(documents, terms);
        write(&path, &matrix);
        let (training, model) = run(&path, 1, 1, false, &params(k));
        assert_eq!(training.topics, k);
        // The promise at default settings is 1e-4.
        check(&matrix, &model, 1e-4);
        assert!(training.residual <= 2.0 * TOLERANCE);
    }
}

#[test]
fn every_triplet_of_a_small_matrix_is_found() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    for (documents, terms) in [(1, 1), (1, 9), (9, 1), (17, 23), (23, 17)] {
        let matrix = random_matrix(documents, terms);
        write(&path, &matrix);
        let k = documents.min(terms);
        let (training, model) = run(&path, 1, 1, false, &params(k));
        check(&matrix, &model, 1e-4);
        let rank = oracle(&matrix).iter().filter(|value| **value > 1e-2).count();
        assert!(training.topics >= rank.min(k));
    }
}

#[test]
fn multiple_values_and_low_rank_are_found_out() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    // Forty equal singular values: a block of 16 spans an invariant space at once and must look on.
    write(&path, &Array2::eye(40));
    let (training, model) = run(&path, 2, 1, false, &params(40));
    assert_eq!(training.topics, 40);
    check(&Array2::eye(40), &model, 1e-6);
    // Rank 3: no topic beyond is invented.
    let tall = random_matrix(60, 50);
    let factors = tall.slice(ndarray::s![.., ..3]).dot(&random_matrix(3, 80));
    write(&path, &factors);
    let (training, model) = run(&path, 2, 1, false, &params(10));
    assert_eq!(training.topics, 3);
    check(&factors, &model, 1e-4);
}

#[test]
fn rounds_beyond_the_whole_space_do_no_harm() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    // The rank, 60, is used up after five rounds of 16 columns, of which the first does not count: it is random.
    let matrix = random_matrix(60, 500);
    write(&path, &matrix);
    for rounds in 5..14 {
        let (training, model) = run(&path, 1, 1, false, &LsiParams { rounds: Some(rounds), ..params(20) });
        assert_eq!(training.topics, 20);
        check(&matrix, &model, 1e-5);
    }
}

#[test]
fn singular_values_of_many_sizes_are_found() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    // Each column of the random matrix counts for less than the one before it: squares down to 1e-5 of the largest.
    let mut matrix = random_matrix(300, 200);
    for (term, mut column) in matrix.columns_mut().into_iter().enumerate() {
        column.mapv_inplace(|value| value * 0.93f32.powi(term as i32));
    }
    write(&path, &matrix);
    for rounds in [None, Some(12), Some(16)] {
        let (training, model) = run(&path, 1, 1, false, &LsiParams { rounds, ..params(40) });
        assert_eq!(training.topics, 40);
        assert!(model.singular_values[39] < 1e-2 * model.singular_values[0], "{:?}", model.singular_values);
        check(&matrix, &model, 1e-4);
    }
}

#[test]
fn a_compressed_basis_gives_the_same_answer() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    let matrix = random_matrix(900, 700);
    write(&path, &matrix);
    let small = LsiParams { basis: Some(90), ..params(30) };
    let (training, model) = run(&path, 2, 1, false, &small);
    assert!(training.rounds * 16 > 90, "{} rounds never filled the basis", training.rounds);
    check(&matrix, &model, 1e-4);
}

#[test]
fn the_same_bits_on_any_number_of_ranks_and_threads() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    // More than one row block of terms and more than one chunk of documents.
    let mut matrix = random_matrix(300, 5000);
    for document in 0..300 {
        let mut stream = Stream::new(3, "dense part", document as u64);
        for term in 0..600 {
            matrix[[document as usize, term]] += stream.uniform() as f32;
        }
    }
    write(&path, &matrix);
    let params = params(20);
    let (training, model) = run(&path, 1, 1, false, &params);
    for (ranks, threads, scatter) in
        [(1, 2, false), (2, 1, false), (2, 2, true), (3, 1, true), (5, 1, false), (7, 2, true)]
    {
        let other = run(&path, ranks, threads, scatter, &params);
        assert!(other == (training, model.clone()), "{ranks} ranks, {threads} threads, scatter {scatter}");
    }
    let (_, other) = run(&path, 1, 1, false, &LsiParams { seed: 2, ..params });
    assert!(other.left_vectors != model.left_vectors, "the seed is used");
}

#[test]
fn the_scale_of_the_values_does_not_matter() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    let matrix = random_matrix(200, 150);
    write(&path, &matrix);
    let (_, model) = run(&path, 2, 1, false, &params(20));
    // Powers of two, so that nothing but exponents may change.
    for exponent in [-30, 30] {
        let scale = f32::powi(2.0, exponent);
        write(&path, &(&matrix * scale));
        let (_, scaled) = run(&path, 2, 1, false, &params(20));
        assert!(scaled.left_vectors == model.left_vectors, "scale 2^{exponent}");
        assert!(scaled.residuals == model.residuals, "scale 2^{exponent}");
        let expected: Vec<f64> = model.singular_values.iter().map(|value| value * f64::from(scale)).collect();
        assert_eq!(scaled.singular_values, expected, "scale 2^{exponent}");
    }
}

/// The formulas at the head of `lsi/krylov.rs`, `lsi/orthogonal.rs` and `lsi/operator.rs`.
#[test]
fn flops_products_passes_and_bytes_are_those_of_the_formulas() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    let (documents, terms) = (400, 4500);
    let matrix = random_matrix(documents, terms);
    write(&path, &matrix);
    let nonzeros = matrix.iter().filter(|value| **value != 0.0).count() as u64;
    for (topics, block, rounds) in [(30, 16, 4), (70, 20, 6)] {
        let params = LsiParams { block: Some(block), rounds: Some(rounds), ..params(topics) };
        for ranks in [1, 2, 3] {
            let counters = job(ranks, 1, false, |job| {
                let corpus = Corpus::open(job, &path)?;
                let plan = params.check(corpus.header().documents, corpus.header().terms)?;
                train(job, &corpus, &plan)?;
                Ok(job.account.counters())
            });
            let counters: Vec<Counters> = counters.into_iter().map(|counters| counters.expect("counters")).collect();
            let total = |figure: fn(&Counters) -> u64| counters.iter().map(figure).sum::<u64>();
            let most = |figure: fn(&Counters) -> u64| counters.iter().map(figure).max();

            let (t, k, b, rounds) = (terms as u64, topics as u64, block as u64, rounds as u64);
            let workers = if ranks == 1 { 1 } else { ranks as u64 - 1 };
            let strips = k.div_ceil(64);
            let passes = 1 + rounds + strips;
            assert_eq!(most(|c| c.products), Some(rounds * b + k));
            assert_eq!(most(|c| c.passes), Some(passes));
            assert_eq!(total(|c| c.documents), passes * documents as u64);
            assert_eq!(total(|c| c.flops), 4 * nonzeros * (rounds * b + k));
            let near = |round: u64| round.min(2) * b;
            let round = |round: u64| 4 * t * (near(round) + round * b + 2 * b) * b;
            // The random block that begins, the rounds, the vectors.
            let dense = 8 * t * b * b + (1..=rounds).map(round).sum::<u64>() + 2 * t * rounds * b * k;
            let again = most(|c| c.projected_again).unwrap_or_default();
            assert!(again <= rounds * rounds * b, "{again} columns");
            assert_eq!(total(|c| c.dense_flops), dense + 4 * t * again * b);
            // Rows are padded to 16 columns where they travel.
            let width = b.next_multiple_of(16);
            let vectors = rounds * width + k / 64 * 64 + (k % 64).next_multiple_of(16);
            let sums = |round: u64| (near(round) + 2 + round * b + 3 * width) * width;
            let sums = (0..=rounds).map(sums).sum::<u64>() + again * width;
            let bytes = if workers == 1 { 0 } else { 12 * t * vectors * (workers - 1) + 8 * sums * workers };
            assert_eq!(total(|c| c.exchanged_bytes), bytes, "{ranks} ranks");
        }
    }
}

/// What a rank of a tree over so many members says and hears: a message from its parent or to it, and one for each child.
fn neighbours(member: usize, members: usize) -> u64 {
    let children = (0..32).map(|bit| 1 << bit).take_while(|&step: &usize| member.is_multiple_of(2 * step));
    u64::from(member > 0) + children.filter(|step| member + step < members).count() as u64
}

/// The formulas of "Scaling, on paper" in ARCHITECTURE.md, for each rank of up to eight workers.
#[test]
fn bytes_and_messages_of_each_rank_are_those_of_the_formulas() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("corpus.h5");
    let (terms, k, b) = (9000, 24, 16);
    write(&path, &random_matrix(200, terms));
    let counted = |workers: usize, rounds: usize| {
        let params = LsiParams { block: Some(b), rounds: Some(rounds), ..params(k) };
        let ranks = job(1 + workers, 1, false, |job| {
            let corpus = Corpus::open(job, &path)?;
            let plan = params.check(corpus.header().documents, corpus.header().terms)?;
            train(job, &corpus, &plan)?;
            Ok((job.account.counters(), job.comm.traffic().count().messages))
        });
        ranks.into_iter().map(|rank| rank.expect("a rank that ends well")).collect::<Vec<_>>()
    };
    for workers in 1..=8 {
        let [fewer, more] = [4, 5].map(|rounds| counted(workers, rounds));
        assert_eq!(more[1].0.projected_again, 0, "the case is one of two projections a round");
        let shares = RowShares::new(terms, workers);
        let others = workers as u64 - 1;
        for worker in 0..workers {
            let (_, messages) = more[1 + worker];
            let (counters, before) = (&more[1 + worker].0, &fewer[1 + worker]);
            let (tree, world) = (neighbours(worker, workers), neighbours(1 + worker, 1 + workers));
            // The fold's shares and reports and the end of the round; rows brought together and three sums; the product.
            let round = 3 * world + (2 + 3 * 2) * tree + 2 * others;
            assert_eq!(messages - before.1, round, "worker {worker} of {workers}");
            let own = shares.of(worker).len() as u64;
            let (t, b, k, rounds) = (terms as u64, b as u64, k as u64, 5);
            let columns = rounds * b + k.next_multiple_of(16);
            let sums: u64 = (0..=rounds).map(|round| (round.min(2) * b + 2 + round * b + 3 * b) * b).sum();
            let bytes = columns * (4 * own * others + 8 * (t - own)) + if workers > 1 { 8 * sums } else { 0 };
            assert_eq!(counters.exchanged_bytes, bytes, "worker {worker} of {workers}");
        }
    }
}
