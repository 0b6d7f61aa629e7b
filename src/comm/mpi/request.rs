//! Requests, communicators and point-to-point messages on the C interface of MPI.
//!
//! Safety argument for the `unsafe` blocks of this file: every pointer handed to MPI belongs to a heap buffer that is
//! owned by a [`Request`] until MPI has reported the request complete; a request dropped before that leaks its
//! buffers instead of freeing them. Handles (communicators, datatypes, operations) are created by MPI itself and live
//! until MPI is finalised. Calls come from the thread that initialised MPI.

use std::any::Any;
use std::ffi::c_void;
use std::future::poll_fn;
use std::task::Poll;

use ::mpi::ffi;

use crate::comm::Pending;
use crate::comm::wait::{all, pause};
use crate::error::{Error, Result};

/// A message of exactly this many bytes is followed by more of the same message. MPI counts are i32, and many
/// networks are fastest with messages far below that limit.
const PIECE: usize = 1 << 30;

/// Where MPI is to read from. An empty vector's pointer is its alignment, and Open MPI's MPI_IN_PLACE is the address 1:
/// an empty byte string must be handed over as null.
pub(super) fn from<T>(data: &[T]) -> *const c_void {
    if data.is_empty() { std::ptr::null() } else { data.as_ptr().cast() }
}

/// Where MPI is to write to; null when there is no room, for the same reason.
pub(super) fn into<T>(data: &mut [T]) -> *mut c_void {
    if data.is_empty() { std::ptr::null_mut() } else { data.as_mut_ptr().cast() }
}

/// Turns the return code of an MPI call into a result.
pub(super) fn check(call: &str, code: i32) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    let mut text = vec![0u8; 1024];
    let mut length = 0;
    // SAFETY: the buffer is longer than MPI_MAX_ERROR_STRING of any MPI (Open MPI 256, MPICH 512).
    unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast(), &mut length) };
    text.truncate(length.max(0) as usize);
    Err(Error::failed(format!("{call}: {}", String::from_utf8_lossy(&text).trim())))
}

/// An operation MPI is working on, with the buffers it works on.
pub(super) struct Request<B: Any> {
    raw: ffi::MPI_Request,
    buffers: Option<B>,
}

impl<B: Any> Request<B> {
    /// Starts an operation: `call` gets the buffers and the place for the request handle.
    pub(super) fn start(
        name: &str,
        mut buffers: B,
        call: impl FnOnce(&mut B, &mut ffi::MPI_Request) -> i32,
    ) -> Result<Self> {
        // SAFETY: a constant of the MPI library.
        let mut raw = unsafe { ffi::RSMPI_REQUEST_NULL };
        let code = call(&mut buffers, &mut raw);
        check(name, code)?;
        Ok(Request { raw, buffers: Some(buffers) })
    }

    /// Tests until MPI is done with the buffers and hands them back.
    pub(super) async fn complete(mut self) -> Result<B> {
        poll_fn(|_| {
            let mut done = 0;
            // SAFETY: the request is valid until completion, when MPI sets it to the null request.
            let code = unsafe { ffi::MPI_Test(&mut self.raw, &mut done, ffi::RSMPI_STATUS_IGNORE) };
            match check("MPI_Test", code) {
                Err(error) => Poll::Ready(Err(error)),
                Ok(()) if done != 0 => Poll::Ready(Ok(())),
                Ok(()) => Poll::Pending,
            }
        })
        .await?;
        self.buffers.take().ok_or(Error::Aborted)
    }
}

impl<B: Any> Drop for Request<B> {
    fn drop(&mut self) {
        // MPI may still write here: give the memory up rather than free it.
        std::mem::forget(self.buffers.take());
    }
}

/// A communicator of our own, so that no message of one purpose meets one of another.
pub(super) struct Communicator {
    raw: ffi::MPI_Comm,
}

impl Communicator {
    /// A copy of another communicator. Collective.
    pub(super) fn duplicate(of: ffi::MPI_Comm) -> Result<Self> {
        // SAFETY: `of` is valid, the new handle is written by MPI before it is read.
        unsafe {
            let mut raw = ffi::RSMPI_COMM_NULL;
            check("MPI_Comm_dup", ffi::MPI_Comm_dup(of, &mut raw))?;
            check("MPI_Comm_set_errhandler", ffi::MPI_Comm_set_errhandler(raw, ffi::RSMPI_ERRORS_RETURN))?;
            Ok(Communicator { raw })
        }
    }

    /// The members of another communicator for which `inside` holds, in their order. Collective over all.
    pub(super) fn split(of: ffi::MPI_Comm, inside: bool) -> Result<Option<Self>> {
        // SAFETY: as in `duplicate`; a rank that is outside gets the null communicator and does not use it.
        unsafe {
            let mut raw = ffi::RSMPI_COMM_NULL;
            let color = if inside { 0 } else { ffi::RSMPI_UNDEFINED };
            check("MPI_Comm_split", ffi::MPI_Comm_split(of, color, 0, &mut raw))?;
            if !inside {
                return Ok(None);
            }
            check("MPI_Comm_set_errhandler", ffi::MPI_Comm_set_errhandler(raw, ffi::RSMPI_ERRORS_RETURN))?;
            Ok(Some(Communicator { raw }))
        }
    }

    pub(super) fn raw(&self) -> ffi::MPI_Comm {
        self.raw
    }

    /// Number of this process in the communicator, and how many there are.
    pub(super) fn member(&self) -> (usize, usize) {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: both are written by MPI.
        unsafe {
            ffi::MPI_Comm_rank(self.raw, &mut rank);
            ffi::MPI_Comm_size(self.raw, &mut size);
        }
        (rank as usize, size as usize)
    }

    /// Sends bytes of any length: full pieces, and a last one that is shorter (or empty).
    pub(super) async fn send(&self, to: usize, tag: i32, data: Vec<u8>) -> Result<()> {
        self.send_in_pieces(to, tag, data, PIECE).await
    }

    async fn send_in_pieces(&self, to: usize, tag: i32, data: Vec<u8>, piece: usize) -> Result<()> {
        let raw = self.raw;
        let data = std::rc::Rc::new(data);
        let mut requests: Vec<Pending<'_, ()>> = Vec::new();
        for first in (0..=data.len()).step_by(piece) {
            let length = piece.min(data.len() - first);
            let request = Request::start("MPI_Isend", data.clone(), |data, request| {
                // SAFETY: see the head of the file; the shared buffer is not written while it is being sent.
                unsafe {
                    ffi::MPI_Isend(
                        self::from(&data[first..first + length]),
                        length as i32,
                        ffi::RSMPI_UINT8_T,
                        to as i32,
                        tag,
                        raw,
                        request,
                    )
                }
            })?;
            requests.push(Box::pin(async move { request.complete().await.map(drop) }));
        }
        all(requests).await.map(drop)
    }

    /// Receives what [`send`](Self::send) sent.
    pub(super) async fn receive(&self, from: usize, tag: i32) -> Result<Vec<u8>> {
        self.receive_in_pieces(from, tag, PIECE).await
    }

    async fn receive_in_pieces(&self, from: usize, tag: i32, piece: usize) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        loop {
            let (message, length) = self.probe(from, tag).await?;
            let first = data.len();
            data.resize(first + length, 0u8);
            let request = Request::start("MPI_Imrecv", data, move |data, request| {
                let mut message = message;
                // SAFETY: see the head of the file; the buffer has room for the `length` bytes that were announced.
                unsafe {
                    ffi::MPI_Imrecv(into(&mut data[first..]), length as i32, ffi::RSMPI_UINT8_T, &mut message, request)
                }
            })?;
            data = request.complete().await?;
            if length < piece {
                return Ok(data);
            }
        }
    }

    /// Waits for a message and takes it out of the queue, with its length in bytes.
    async fn probe(&self, from: usize, tag: i32) -> Result<(ffi::MPI_Message, usize)> {
        loop {
            let mut found = 0;
            // SAFETY: message and status are plain C structures or integers, written by MPI when `found` is set.
            unsafe {
                let mut message = ffi::RSMPI_MESSAGE_NULL;
                let mut status: ffi::MPI_Status = std::mem::zeroed();
                check(
                    "MPI_Improbe",
                    ffi::MPI_Improbe(from as i32, tag, self.raw, &mut found, &mut message, &mut status),
                )?;
                if found != 0 {
                    let mut length = 0;
                    check("MPI_Get_count", ffi::MPI_Get_count(&status, ffi::RSMPI_UINT8_T, &mut length))?;
                    return Ok((message, length.max(0) as usize));
                }
            }
            pause().await;
        }
    }
}

/// Ends the job on all ranks, from any thread; returns when this process is not part of one.
pub(super) fn abort(code: i32) {
    let (mut begun, mut ended) = (0, 0);
    // SAFETY: both queries may be called at any time; MPI_Abort only ends the process, and does so in every MPI known,
    // also when called beside the thread that initialised MPI.
    unsafe {
        ffi::MPI_Initialized(&mut begun);
        ffi::MPI_Finalized(&mut ended);
        if begun != 0 && ended == 0 {
            ffi::MPI_Abort(ffi::RSMPI_COMM_WORLD, code);
        }
    }
}
