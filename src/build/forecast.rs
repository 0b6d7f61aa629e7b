//! What building takes, reckoned before anything is read.

use crate::corpus::compression::Compression;
use crate::corpus::text::{InputFormat, TextPlan};
use crate::dispatch::Job;
use crate::dispatch::memory::{self, FILES, Forecast, Need};

/// Bytes of text that will be read, where that is known beforehand; the dispatcher shows it.
pub(super) fn text_bytes(job: &Job, plan: &TextPlan) -> Option<u64> {
    if !job.is_dispatcher() {
        return None;
    }
    let bytes = plan.files.iter().map(|file| match (plan.format, file.compression) {
        (InputFormat::Dir, _) => file.listing().ok()?.piece_bytes(),
        (_, Compression::None) => Some(file.bytes.saturating_sub(file.data_offset)),
        _ if plan.in_ranges(file) => Some(file.bytes),
        _ => None,
    });
    bytes.sum()
}

/// Share of the memory that terms and their counts may take on a worker before they go to a file: sorting them takes as
/// much again.
pub(super) const TERMS_SHARE: u64 = 4;
/// Bytes a worker takes for a piece of text, its bags of words and its documents, on their way.
const PIECE: u64 = 64 << 20;

/// What building takes. How many terms the text has is not known: their tables get a share of the memory and go to a file
/// where that is too small, and the dictionary, of which only the largest size is known, is no reason to refuse.
pub(super) fn forecast(job: &Job, plan: &TextPlan, keep_n: Option<usize>) -> Forecast {
    // Texts of less than 12 bytes a distinct term are rare.
    // Text of a dump is about five times as long as it is compressed.
    let swells = plan.files.iter().any(|file| plan.in_ranges(file));
    let text = text_bytes(job, plan).map(|bytes| if swells { 5 * bytes } else { bytes });
    let terms = keep_n.map_or(0, |keep_n| text.map_or(keep_n as u64, |text| (keep_n as u64).min(text / 12)));
    let workers = job.workers() as u64;
    let share = text.map(|text| (text / workers + text / workers / 4).min(text) + plan.piece_bytes);
    let dispatcher =
        Need::fixed(FILES + memory::waiting(workers, plan.piece_bytes / 2) + (8 << 20)).keeping(320 * terms);
    // Bags are smaller than their text; terms, their counts and both sorted may be twice as large.
    // A range of a dump is decompressed to several times its length, by blocks that are then joined.
    let worker = Need::fixed(if swells { 2 * PIECE } else { PIECE })
        .keeping(share.map_or(u64::MAX, |share| 3 * share + 160 * terms));
    Forecast { dispatcher, worker }
}
