//! Synthetic corpora over ranks: workers generate chunks, the dispatcher writes them in order.

use std::path::Path;

use serde_json::json;

use crate::corpus::chunk::Footprint;
use crate::corpus::container::{CorpusHeader, CorpusWriter, Values};
use crate::corpus::generate::{GeneratePlan, GenerateSpec, GeneratedChunk};
use crate::dispatch::memory::{self, FILES, Forecast, Need};
use crate::dispatch::{Dataset, Job, Parcel, Source};
use crate::error::Result;
use crate::report::progress::Unit;
use crate::store::provenance;

/// Generates a corpus and writes it to `output`; its header is returned on the dispatcher. Collective.
pub fn generate(job: &Job, spec: &GenerateSpec, output: &Path) -> Result<Option<CorpusHeader>> {
    let mut target = None;
    // One rank complains about parameters, the others do not get to see them.
    job.share(|| {
        spec.check_numbers()?;
        target = Some(job.create_target(output)?);
        Ok(Vec::new())
    })?;
    let job = &job.within_memory("give more, or generate fewer --topics", || Ok(forecast(job, spec)))?;
    let plan = job.account.compute(|| spec.clone().check())?;
    job.begin(|| Ok(provenance::of("generate", json!(spec), &[])))?;
    let create = |target| CorpusWriter::create(target, &plan.terms(), Values::Counts, true);
    let mut writer = target.map(create).transpose()?;
    let progress = job.progress.task("generate", Unit::Documents, Some(spec.documents));
    // Each chunk is generated once: none is kept.
    let job = &Job { memory: 0, ..*job };
    let dataset = Dataset::new(job, Numbers { plan: &plan, next: 0 })?.enduring();
    dataset.map(
        |number, _| {
            let chunk = plan.chunk(number);
            job.account.count(|counters| counters.documents += chunk.documents.documents() as u64);
            Ok(chunk.encode())
        },
        |_, bytes| {
            let GeneratedChunk { documents, topics } = GeneratedChunk::decode(&bytes)?;
            let count = topics.len() as u64;
            let ids: Vec<String> =
                (documents.first_document..documents.first_document + count).map(GeneratePlan::id).collect();
            let labels: Vec<String> = topics.into_iter().map(GeneratePlan::label).collect();
            progress.advance(count, count);
            writer.as_mut().map_or(Ok(()), |writer| writer.append(&documents, &ids, Some(&labels)))
        },
    )?;
    let finish = |writer: CorpusWriter| job.account.io(|| writer.finish(&provenance::of("generate", json!(spec), &[])));
    writer.map(finish).transpose()
}

/// What generating takes: tables of terms and topics everywhere, and the chunks on their way, of which each token may be a
/// nonzero.
fn forecast(job: &Job, spec: &GenerateSpec) -> Forecast {
    let (documents, tokens) = spec.chunk_sizes();
    // A fifth of the tokens and more are a term's second.
    let (chunk, workers) = (8 * (documents + tokens / 5 * 4), job.workers() as u64);
    let (terms, topics) = (u64::from(spec.terms), u64::from(spec.topics));
    let tables = 32 * terms + 40 * topics * (terms / 20).clamp(5, 1000);
    let names = 256 * documents;
    let dispatcher = Need::fixed(FILES)
        .with("tables", tables)
        .with("dictionary", 160 * terms)
        .with("results", memory::waiting(workers, chunk) + chunk + names);
    // Vectors that grow may be twice as large as what is in them; then encoded, and encoded with the topics. Some wait to be sent.
    let copies = if job.distributed() { 8 } else { 4 };
    Forecast { dispatcher, worker: Need::fixed(0).with("tables", tables).with("a chunk at hand", copies * chunk) }
}

/// A chunk before it is generated: there is nothing to it but its number.
struct Unmade;

impl Footprint for Unmade {
    fn bytes(&self) -> u64 {
        0
    }
}

/// The numbers of the chunks.
struct Numbers<'a> {
    plan: &'a GeneratePlan,
    next: u64,
}

impl Source for Numbers<'_> {
    type Item = Unmade;
    const KNOWN: bool = true;

    fn next(&mut self) -> Result<Option<Parcel>> {
        let number = self.next;
        self.next += 1;
        let weight = self.plan.span(number).1;
        Ok((number < self.plan.chunks()).then(|| Parcel { number, weight, ..Parcel::default() }))
    }

    fn visible(&self) -> bool {
        true
    }

    fn read(&self, _: &Parcel) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn open(&self, _: &Parcel, _: Vec<u8>) -> Result<Unmade> {
        Ok(Unmade)
    }
}
