//! The two sparse products of a Krylov round, on one core: `cargo bench --bench kernels`.
//!
//! Throughput is in floating-point operations: 2 a nonzero and column for each product.

use corpuscle::corpus::generate::GenerateSpec;
use corpuscle::linalg::fixed::Grid;
use corpuscle::linalg::kernels::{Sums, documents_times, terms_times};
use corpuscle::linalg::{Aligned, Prepared, Simd};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn products(criterion: &mut Criterion) {
    let spec = GenerateSpec { documents: 20_000, terms: 100_000, topics: 50, mean_length: 250.0, seed: 1 };
    let plan = spec.check().expect("a corpus");
    let chunk = Prepared::new(plan.chunk(0).documents).expect("a chunk");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let grid = Grid::for_bound(1e12).expect("a grid");
    let (terms, documents) = (chunk.terms(), chunk.documents());
    for simd in Simd::available() {
        let mut group = criterion.benchmark_group(format!("products-{}", simd.name()));
        group.sample_size(10);
        for width in [32usize, 64, 256, 512] {
            group.throughput(Throughput::Elements(2 * (chunk.nonzeros() * width) as u64));
            let mut v = Aligned::<f32>::zeros(terms * width);
            v.iter_mut().enumerate().for_each(|(i, value)| *value = ((i * 7919) % 1000) as f32 * 1e-3);
            let mut y = Aligned::<f32>::zeros(documents * width);
            let mut w = vec![0i64; terms * width];
            group.bench_function(BenchmarkId::new("documents_times", width), |bench| {
                bench.iter(|| documents_times(simd, &pool, &chunk, &v, width, &mut y));
            });
            group.bench_function(BenchmarkId::new("terms_times", width), |bench| {
                bench.iter(|| terms_times(simd, &pool, &chunk, &y, width, grid, Sums::Add(&mut w)));
            });
        }
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
