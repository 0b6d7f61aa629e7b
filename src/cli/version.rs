//! `corpuscle --version -v`: the program, and the libraries it was built with.

use crate::comm;
use crate::linalg;

/// Lines that tell everything results of this program may depend on.
pub(super) fn details() -> String {
    let (major, minor, patch) = hdf5::library_version();
    [
        ("corpuscle", env!("CARGO_PKG_VERSION").to_owned()),
        ("commit", env!("CORPUSCLE_COMMIT").to_owned()),
        ("MPI", comm::linked_mpi().unwrap_or_else(|| "none: a serial build".to_owned())),
        ("dense back end", linalg::back_end().name),
        ("sparse kernels", linalg::Simd::detect().name().to_owned()),
        ("HDF5", format!("{major}.{minor}.{patch}")),
    ]
    .map(|(what, which)| format!("{what:<16}{which}\n"))
    .concat()
}
