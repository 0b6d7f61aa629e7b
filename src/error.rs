//! The one error type: a single line saying what, where and what to do.

use std::fmt::Display;
use std::path::Path;

/// The exit code of a job that was stopped at a checkpoint by a signal and may be resumed: EX_TEMPFAIL of sysexits.h.
pub const STOPPED: i32 = 75;

/// Why a command ended early. Each message is one line that names the place and, where there is one, the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command line or its parameters make no sense (exit code 2).
    #[error("{0}")]
    Usage(String),
    /// Input, output or a computation failed (exit code 1).
    #[error("{0}")]
    Failed(String),
    /// A signal asked for a stop and everything needed to go on later has been saved (exit code 75).
    #[error("stopped at a checkpoint")]
    Stopped,
    /// Another rank gave up first and has said why; this rank only leaves (exit code 1, nothing printed).
    #[error("another rank ended the job")]
    Aborted,
    /// A rank has died. What can go on without it catches this; nobody is shown it.
    #[error("a rank was lost")]
    Lost,
}

/// Result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure with its message.
    pub fn failed(message: impl Into<String>) -> Self {
        Error::Failed(message.into())
    }

    /// A mistake in how the program was called.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::Usage(message.into())
    }

    /// The process exit code of this error.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Usage(_) => 2,
            Error::Stopped => STOPPED,
            Error::Failed(_) | Error::Aborted | Error::Lost => 1,
        }
    }
}

/// Names the file an operation failed on: `open(path).at(path)?`.
pub trait At<T> {
    /// Prefixes the cause with the path.
    fn at(self, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Display> At<T> for std::result::Result<T, E> {
    fn at(self, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|cause| Error::Failed(format!("{}: {}", path.as_ref().display(), one_line(&cause))))
    }
}

/// A cause as one line: libraries such as HDF5 report a stack of several.
pub fn one_line(cause: &impl Display) -> String {
    cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
