//! A corpus as the patterns see it: numbered chunks that somebody can read, and workers that may keep them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::job::Job;
use super::message::{Assignment, Delivery};
use super::table::Table;
use crate::comm::Route;
use crate::corpus::chunk::Footprint;
use crate::error::{Error, Result};

/// A chunk before it is opened: which, how heavy and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parcel {
    /// Position in the corpus.
    pub number: u64,
    /// Work it stands for, in any unit that is the same for all chunks (nonzeros, bytes).
    pub weight: u64,
    /// Bytes it will take when sent.
    pub memory: u64,
    /// What a rank that sees the files needs in order to find it.
    pub place: Vec<u8>,
    /// Its bytes, when they exist nowhere but in a stream that the dispatcher reads.
    pub body: Option<Vec<u8>>,
}

/// Makes the item of a parcel on any thread.
pub type Reader<'a, I> = Box<dyn Fn(&Parcel) -> Result<I> + Sync + 'a>;

/// Where chunks come from. One value per rank; `next` is called on the dispatcher only, the others anywhere.
pub trait Source {
    /// A chunk ready to be worked on.
    type Item: Footprint + Send;
    /// All chunks are known beforehand (and `next` gives them without reading them), so that they can be planned.
    const KNOWN: bool;
    /// The next chunk, in order.
    fn next(&mut self) -> Result<Option<Parcel>>;
    /// True when this rank can read the files, judged by their content.
    fn visible(&self) -> bool;
    /// The bytes of a chunk as they travel; needs the files to be visible.
    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>>;
    /// A chunk from its bytes.
    fn open(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<Self::Item>;
    /// A chunk straight from the files, when that is cheaper than through bytes.
    fn load(&self, parcel: &Parcel) -> Result<Self::Item> {
        self.open(parcel, self.read(parcel)?)
    }
    /// [`load`](Self::load) for a thread beside the one that has the source; none where a source cannot be shared.
    fn reader(&self) -> Option<Reader<'_, Self::Item>> {
        None
    }
    /// Chunks that this rank reads itself are not kept: taking them from the system's cache of files once more costs less than
    /// memory of their own.
    fn rereads(&self) -> bool {
        false
    }
}

/// Bytes that a chunk takes while it is made ready, for each byte that it takes when sent: at most those of the chunk, of its
/// transpose and of what is moved meanwhile, and as many as the allocator keeps for the thread that reads.
const MADE: u64 = 4;

/// A source spread over the workers of a job.
pub struct Dataset<'j, 'c, S: Source> {
    pub(super) job: &'j Job<'c>,
    pub(super) source: RefCell<S>,
    /// A loss within a pass is made good there.
    pub(super) enduring: bool,
    /// The ranks, by their numbers at the start, that the dispatcher's numbers of workers are about.
    members: RefCell<Vec<usize>>,
    /// Dispatcher: which workers see the files.
    pub(super) sees: RefCell<Vec<bool>>,
    /// Dispatcher: who has which chunk.
    pub(super) table: RefCell<Table>,
    /// Dispatcher: the source has been gone through, the table is complete.
    pub(super) listed: Cell<bool>,
    /// Worker: chunks kept in memory, and their bytes.
    kept: RefCell<HashMap<u64, Rc<S::Item>>>,
    kept_bytes: Cell<u64>,
    /// Worker: nothing more is kept.
    full: Cell<bool>,
}

impl<'j, 'c, S: Source> Dataset<'j, 'c, S> {
    /// Finds out who sees the files. Collective.
    pub fn new(job: &'j Job<'c>, source: S) -> Result<Self> {
        let sees = job.works() && !job.scatter && source.visible();
        let votes = job.wait(job.comm.gather(Route::World, vec![u8::from(sees)]))?;
        let workers = Route::Workers.members(job.comm.size());
        let sees = if votes.is_empty() { Vec::new() } else { workers.map(|rank| votes[rank] == [1]).collect() };
        Ok(Dataset {
            job,
            source: RefCell::new(source),
            enduring: false,
            members: RefCell::new(job.comm.members()),
            sees: RefCell::new(sees),
            table: RefCell::new(Table::new(job.workers())),
            listed: Cell::new(false),
            kept: RefCell::default(),
            kept_bytes: Cell::new(0),
            full: Cell::new(false),
        })
    }

    /// The same, on which a loss within a pass is made good there: the chunks of the dead are given to others, who add them
    /// to their own partials. For callers who know nothing of their own by the numbers of ranks, which change then, and
    /// whose partials are about the present pass only.
    pub fn enduring(self) -> Self {
        Dataset { enduring: true, ..self }
    }

    /// Dispatcher: workers are known by their present numbers, and nothing is expected of the dead any more.
    pub(super) fn align(&self) {
        let (before, now) = (self.members.replace(self.job.comm.members()), self.members.borrow());
        if before == *now {
            return;
        }
        let stay: Vec<usize> =
            (1..before.len()).filter(|&rank| now.contains(&before[rank])).map(|rank| rank - 1).collect();
        let mut sees = self.sees.borrow_mut();
        *sees = stay.iter().filter_map(|&worker| sees.get(worker).copied()).collect();
        self.table.borrow_mut().keep_workers(&stay);
    }

    /// The job it is spread over.
    pub fn job(&self) -> &'j Job<'c> {
        self.job
    }

    /// The source of this rank.
    pub fn source(&self) -> std::cell::Ref<'_, S> {
        self.source.borrow()
    }

    /// Dispatcher: lists all chunks of a known source and plans who gets which.
    pub(super) fn list(&self) -> Result<()> {
        if !self.listed.get() {
            let (mut source, mut table) = (self.source.borrow_mut(), self.table.borrow_mut());
            while let Some(parcel) = source.next()? {
                table.push(parcel, 0);
            }
            table.plan(true);
            self.listed.set(true);
        }
        Ok(())
    }

    /// Chunk `at`: from the table, or the next one of a stream that has not been gone through, which is `worker`'s then.
    /// None behind the last.
    pub(super) fn parcel(&self, at: usize, worker: usize) -> Result<Option<Parcel>> {
        let mut table = self.table.borrow_mut();
        if let Some(entry) = table.entries.get(at) {
            return Ok(Some(entry.parcel.clone()));
        }
        if self.listed.get() {
            return Ok(None);
        }
        let parcel = self.job.account.io(|| self.source.borrow_mut().next())?;
        match &parcel {
            Some(parcel) => table.push(parcel.clone(), worker),
            None => self.listed.set(true),
        }
        Ok(parcel)
    }

    /// Dispatcher: how a worker is to get a chunk.
    pub(super) fn deliver(&self, worker: usize, mut parcel: Parcel, kept: bool) -> Result<Assignment> {
        let delivery = if kept {
            Delivery::Kept
        } else if let Some(body) = parcel.body.take() {
            Delivery::Sent(body)
        } else if self.sees.borrow()[worker] {
            Delivery::Read
        } else {
            Delivery::Sent(self.job.account.io(|| self.source.borrow().read(&parcel))?)
        };
        Ok(Assignment { parcel, delivery })
    }

    /// Worker: the chunk of an assignment; new ones are kept while the memory lasts. The second value says whether
    /// the chunk is newly kept.
    pub(super) fn obtain(&self, assignment: Assignment) -> Result<(Rc<S::Item>, bool)> {
        let Assignment { parcel, delivery } = assignment;
        let account = self.job.account;
        if let Some(item) = self.kept.borrow().get(&parcel.number) {
            return Ok((item.clone(), false));
        }
        let source = self.source.borrow();
        match delivery {
            Delivery::Kept => {
                Err(Error::failed(format!("chunk {} was thought to be in memory and is not", parcel.number)))
            }
            Delivery::Read => {
                let item = account.io(|| source.load(&parcel))?;
                Ok(self.admit(&parcel, item))
            }
            Delivery::Sent(bytes) => {
                let item = Rc::new(account.compute(|| source.open(&parcel, bytes))?);
                Ok((item.clone(), self.keep(&parcel, item)))
            }
        }
    }

    /// Worker: a chunk that has been read here, to be kept while the memory lasts. As [`obtain`](Self::obtain).
    pub(super) fn admit(&self, parcel: &Parcel, item: S::Item) -> (Rc<S::Item>, bool) {
        let item = Rc::new(item);
        (item.clone(), !self.source.borrow().rereads() && self.keep(parcel, item))
    }

    /// Worker: whether a chunk is to be read while another one is worked on: it is not in memory, there is room for it, and a
    /// core.
    pub(super) fn may_read_ahead(&self, parcel: &Parcel) -> bool {
        if !self.job.reads_ahead {
            return false;
        }
        let room = self.job.memory.saturating_sub(self.kept_bytes.get());
        !self.kept.borrow().contains_key(&parcel.number) && MADE * parcel.memory <= room
    }

    /// What is kept leaves room for a chunk that is read ahead, where chunks can be.
    fn keep(&self, parcel: &Parcel, item: Rc<S::Item>) -> bool {
        let bytes = self.kept_bytes.get() + item.bytes();
        let reads_ahead = self.job.reads_ahead && self.source.borrow().reader().is_some();
        let ahead = if reads_ahead { MADE * parcel.memory } else { 0 };
        let fits = !self.full.get() && bytes + ahead <= self.job.memory;
        if fits {
            self.kept_bytes.set(bytes);
            self.kept.borrow_mut().insert(parcel.number, item);
        }
        fits
    }

    /// Worker, in a fold: lets go of all chunks and keeps no others. To be followed by [`tell_dropped`](Self::tell_dropped).
    pub fn drop_kept(&self) {
        self.full.set(true);
        self.kept_bytes.set(0);
        self.kept.borrow_mut().clear();
    }

    /// Tells the dispatcher which workers have dropped their chunks. Collective, after a fold and before the next pass.
    pub fn tell_dropped(&self) -> Result<()> {
        let said = self.job.wait(self.job.comm.gather(Route::World, vec![u8::from(self.full.get())]))?;
        let dropped = |worker: usize| said.get(worker + 1).is_some_and(|said| *said == [1]);
        self.table.borrow_mut().entries.iter_mut().for_each(|entry| entry.kept &= !dropped(entry.owner));
        Ok(())
    }

    /// Serial run: the chunk of a parcel, kept while the memory lasts.
    pub(super) fn obtain_here(&self, mut parcel: Parcel) -> Result<Rc<S::Item>> {
        let delivery = match parcel.body.take() {
            Some(body) => Delivery::Sent(body),
            None => Delivery::Read,
        };
        Ok(self.obtain(Assignment { parcel, delivery })?.0)
    }
}
