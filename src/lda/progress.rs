//! How far training is: the first of the workers tells the dispatcher, who shows it and keeps account.

use std::collections::VecDeque;
use std::time::Instant;

use super::params::LdaPlan;
use crate::comm::{Started, Tag};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::report::progress::{Task, Unit};

/// What training found out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Training {
    /// Tokens of the corpus.
    pub tokens: u64,
    /// Passes made.
    pub passes: usize,
    /// Steps of the model.
    pub updates: u64,
    /// Perplexity of the held-out documents at the end, where there are any.
    pub perplexity: Option<f64>,
    /// Share of the tokens that changed their topic in the last pass.
    pub moved: Option<f64>,
}

/// A worker's word to the dispatcher after a step.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// Documents worked on.
    pub documents: u64,
    /// Perplexity of the held-out documents; NaN if nobody looked.
    pub perplexity: f64,
    /// Share of the tokens that changed their topic in this pass; NaN if that was not seen whole.
    pub moved: f64,
    /// The pass is done.
    pub pass_done: bool,
    /// Training is over.
    pub last: bool,
}

impl Word {
    fn encode(&self) -> Vec<u8> {
        let flags = u64::from(self.last) + 2 * u64::from(self.pass_done);
        let numbers = [self.documents, self.perplexity.to_bits(), self.moved.to_bits(), flags];
        numbers.map(u64::to_le_bytes).concat()
    }

    fn decode(bytes: &[u8]) -> Result<Word> {
        let float = |bytes: &[u8; 8]| f64::from_bits(u64::from_le_bytes(*bytes));
        match bytes.as_chunks::<8>() {
            ([documents, perplexity, moved, flags], []) => Ok(Word {
                documents: u64::from_le_bytes(*documents),
                perplexity: float(perplexity),
                moved: float(moved),
                pass_done: flags[0] & 2 != 0,
                last: flags[0] & 1 != 0,
            }),
            _ => Err(Error::failed("damaged message: word of a worker")),
        }
    }
}

/// Shows progress and keeps account of it.
struct Teller {
    task: Task,
    steps: u64,
    /// When this run began, and documents worked on since.
    begun: Instant,
    documents: u64,
    silent: bool,
}

impl Teller {
    fn tell(&mut self, training: &mut Training, word: &Word) {
        training.updates += 1;
        training.passes = training.updates.div_ceil(self.steps) as usize;
        self.documents += word.documents;
        self.task.advance(word.documents, word.documents);
        if !word.pass_done {
            return;
        }
        training.moved = Some(word.moved).filter(|moved| moved.is_finite());
        if self.silent {
            return;
        }
        let speed = self.documents as f64 / self.begun.elapsed().as_secs_f64();
        let quality = match word.perplexity {
            perplexity if perplexity.is_nan() => String::new(),
            perplexity => {
                training.perplexity = Some(perplexity);
                format!(", perplexity {perplexity:.1}")
            }
        };
        let moved = training.moved.map(|moved| format!(", {:.2} % of the tokens changed topic", 100.0 * moved));
        let (pass, moved) = (training.passes, moved.unwrap_or_default());
        log::info!("pass {pass}: {speed:.0} documents/s{moved}{quality}");
    }
}

/// The line from the first of the workers to the dispatcher, as each rank has it.
pub struct Line<'a> {
    job: &'a Job<'a>,
    teller: Option<Teller>,
    words: VecDeque<Started<'a, ()>>,
    /// What is known so far.
    pub training: Training,
}

impl<'a> Line<'a> {
    /// For a run over so many documents that goes on after so many steps.
    pub fn new(job: &'a Job<'a>, documents: u64, plan: &LdaPlan, done: u64, silent: bool) -> Line<'a> {
        let steps = plan.steps() as u64;
        let teller = job.is_dispatcher().then(|| {
            let task = job.progress.task("lda", Unit::Documents, Some(documents * plan.passes as u64));
            // No documents are counted as work of this run.
            task.advance(documents * done / steps, 0);
            Teller { task, steps, begun: Instant::now(), documents: 0, silent }
        });
        let training = Training { updates: done, passes: done.div_ceil(steps) as usize, ..Training::default() };
        Line { job, teller, words: VecDeque::new(), training }
    }

    /// Worker: tells of a step.
    pub fn say(&mut self, word: &Word) -> Result<()> {
        if let Some(teller) = &mut self.teller {
            teller.tell(&mut self.training, word);
        } else if self.job.comm.rank() == 1 {
            self.words.push_back(Started::new(self.job.comm.send(0, Tag::Progress, word.encode())));
            while self.words.front_mut().is_some_and(Started::test) {
                if let Some(sent) = self.words.pop_front() {
                    self.job.finish(sent)?;
                }
            }
        }
        Ok(())
    }

    /// A dispatcher that does not work: hears of a step.
    pub fn hear(&mut self) -> Result<Word> {
        let word = Word::decode(&self.job.wait(self.job.comm.receive(1, Tag::Progress))?)?;
        if let Some(teller) = &mut self.teller {
            teller.tell(&mut self.training, &word);
        }
        Ok(word)
    }

    /// Waits until everything was heard.
    pub fn close(&mut self) -> Result<()> {
        self.words.drain(..).try_for_each(|word| self.job.finish(word))
    }
}
