//! One rank: the serial program. Every collective hands back what it was given.

use super::{Comm, Pending, Route, Tag, Traffic};
use crate::error::Error;

/// A job of a single rank without any message passing.
#[derive(Debug)]
pub struct Local {
    host: String,
    traffic: Traffic,
}

impl Local {
    /// The only rank of a serial run.
    pub fn new() -> Self {
        Local { host: super::launch::host_name(), traffic: Traffic::default() }
    }
}

impl Default for Local {
    fn default() -> Self {
        Local::new()
    }
}

fn ready<'a, T: 'a>(value: T) -> Pending<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Comm for Local {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn implementation(&self) -> &str {
        "serial, no MPI"
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn send(&self, to: usize, _: Tag, _: Vec<u8>) -> Pending<'_, ()> {
        Box::pin(async move { Err(Error::failed(format!("message to rank {to} of a job of one rank"))) })
    }

    fn receive(&self, from: usize, _: Tag) -> Pending<'_, Vec<u8>> {
        Box::pin(async move { Err(Error::failed(format!("message awaited from rank {from} of a job of one rank"))) })
    }

    fn broadcast(&self, _: Route, data: Vec<u8>) -> Pending<'_, Vec<u8>> {
        ready(data)
    }

    fn scatter(&self, _: Route, parts: Vec<Vec<u8>>) -> Pending<'_, Vec<u8>> {
        ready(parts.into_iter().next().unwrap_or_default())
    }

    fn gather(&self, _: Route, part: Vec<u8>) -> Pending<'_, Vec<Vec<u8>>> {
        ready(vec![part])
    }

    fn sum(&self, _: Route, values: Vec<i64>) -> Pending<'_, Vec<i64>> {
        ready(values)
    }

    fn sum_scatter(&self, _: Route, values: Vec<i64>, _: Vec<usize>) -> Pending<'_, Vec<i64>> {
        ready(values)
    }

    fn abort(&self, code: i32) -> ! {
        std::process::exit(code)
    }
}
