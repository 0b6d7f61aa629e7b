#!/usr/bin/env bash
# Installs what corpuscle needs to build and run, or says what is missing:
#
#     bash jobscripts/setup.sh               # Open MPI (or the mpicc a module provides)
#     MPI=mpich bash jobscripts/setup.sh     # MPICH; on Debian beside Open MPI
#     MPI=openmpi5 bash jobscripts/setup.sh  # Open MPI 5 from the Python package index, beside the others
#
# Debian packages are installed only as root, and only those whose purpose nothing on the machine serves yet. Intel MKL
# and Open MPI 5, which Debian's main archive lacks, go into a folder shared by all clones:
# ${CORPUSCLE_DEPS:-~/.cache/corpuscle}. So do h5py, anndata and scipy, which corpuscle does not need: they are for
# reading its files from Python and for the tests of the documentation. Neither does it need Chromium, in which tests open
# the pages of `corpuscle report`. Where these cannot be had, set-up says so and goes on.
# Where packages cannot be installed it names them, and the modules that usually hold them. When everything is there it
# prints one line and changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=jobscripts/env.sh
. jobscripts/env.sh

# Each check asks for the thing itself, not for a package: modules and self-built installations count.
has_compiler() { echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null 2>/dev/null; }
has_pkg_config() { command -v pkg-config >/dev/null; }
has_mpi() {
    local launcher=${CORPUSCLE_MPIRUN%% *}
    command -v "$MPICC" >/dev/null && command -v "$launcher" >/dev/null || return 1
    # A plain mpicc belongs to whichever MPI; make sure that it is the one asked for.
    [[ ${MPI:-} != mpich || $("$launcher" --version 2>&1) == *HYDRA* ]]
}
has_hdf5() {
    [[ -e ${HDF5_DIR:-/nonexistent}/include/hdf5.h || -e /usr/include/hdf5.h ]] ||
        { pkg-config --exists hdf5 2>/dev/null && ! pkg-config --cflags --libs hdf5 | grep -q mpi; }
}
has_libclang() { [[ -n ${LIBCLANG_PATH:-} ]]; }
has_mkl() {
    local library lib=$MKLROOT/lib
    [[ -d $lib/intel64 ]] && lib=$lib/intel64
    for library in intel_lp64 sequential core; do [[ -s $lib/libmkl_$library.a ]] || return 1; done
    [[ -s $MKLROOT/include/mkl.h ]]
}
has_python() {
    "$CORPUSCLE_PYTHON" -c '
import importlib.util, sys
sys.exit(not all(map(importlib.util.find_spec, ("anndata", "h5py", "scipy"))))' 2>/dev/null
}
has_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null
can_install() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }
can_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
# A must where MKL or Open MPI 5 has to be fetched; else worth a package, not worth giving up.
has_venv() { can_venv || { has_mkl && has_fetched_mpi && { has_python || ! can_install; }; }; }
has_fetched_mpi() { [[ ${MPI:-} != openmpi5 ]] || has_mpi; }

if [[ ${MPI:-openmpi} == mpich ]]; then mpi_packages='mpich libmpich-dev'; else mpi_packages='openmpi-bin libopenmpi-dev'; fi
# check | what it is | Debian packages | module on a cluster
parts=(
    "has_compiler|a C compiler that links|gcc libc6-dev|gcc"
    "has_pkg_config|pkg-config|pkg-config|pkgconf"
    "has_mpi|${MPI:-MPI}: compiler wrapper and launcher|$mpi_packages|${MPI:-openmpi}"
    "has_hdf5|serial HDF5 with headers|libhdf5-dev|hdf5"
    "has_libclang|libclang with clang's headers|libclang1-14 libclang-common-14-dev|llvm"
    "has_venv|Python 3 with venv|python3-venv ca-certificates|python"
)
# Open MPI 5 is fetched below, not installed from Debian.
if [[ ${MPI:-} == openmpi5 ]]; then unset 'parts[2]'; fi
find_missing() {
    local part
    missing=()
    for part in "${parts[@]}"; do "${part%%|*}" || missing+=("$part"); done
}

find_missing
if ((${#missing[@]})) && can_install; then
    packages=$(printf '%s\n' "${missing[@]}" | cut -d'|' -f3)
    # shellcheck disable=SC2086 # the list is meant to be split
    echo "setup: installing" $packages
    export DEBIAN_FRONTEND=noninteractive
    # The list may be empty on a fresh image; the lock waits for another clone's set-up.
    apt-get -qq update
    # shellcheck disable=SC2086
    apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends -y $packages >/dev/null
    . jobscripts/env.sh
    find_missing
fi
# Rust belongs to its user, not to the system: not installed from here.
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
rust=$(cd / && rustc --version 2>/dev/null | cut -d' ' -f2) || true
rust_missing=
if [[ -z $rust ]] || ! command -v cargo >/dev/null; then
    rust_missing="missing: Rust $wanted or later: install it with rustup (see rust-lang.org), or: module load rust"
elif [[ $(printf '%s\n' "$wanted" "${rust%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
    rust_missing="Rust $rust is too old, $wanted or later is needed: run rustup update stable, or load a newer module"
fi

# All that is missing is told at once.
if ((${#missing[@]})) || [[ -n $rust_missing ]]; then
    for part in "${missing[@]}"; do
        IFS='|' read -r _ what packages module <<<"$part"
        echo "setup: missing: $what (Debian: $packages; on a cluster try: module load $module)" >&2
    done
    [[ -z $rust_missing ]] || echo "setup: $rust_missing" >&2
    exit 1
fi

# install_venv FOLDER OPTION...: what pip installs with these options, in a virtual environment in FOLDER. Made beside its
# place and renamed: a set-up cut short, or two at once, leave no half of it behind.
install_venv() (
    folder=$1
    shift
    mkdir -p "$(dirname "$folder")" && partial=$(mktemp -d "$folder.XXXXXX") || exit 1
    trap 'rm -rf "$partial"' EXIT
    python3 -m venv "$partial" &&
        "$partial/bin/python" -m pip --quiet --disable-pip-version-check install --no-deps "$@" &&
        rm -rf "$folder" && mv "$partial" "$folder"
)

if ! has_mkl; then
    if [[ $(uname -m) != x86_64 ]]; then
        echo "setup: Intel MKL exists for x86_64 only; this machine is $(uname -m)" >&2
        exit 1
    fi
    echo "setup: installing Intel MKL into $MKLROOT (1 GB)"
    if ! install_venv "$MKLROOT" --require-hashes -r jobscripts/mkl-requirements.txt; then
        echo "setup: Intel MKL could not be fetched: set MKLROOT to one with static libraries (module load mkl), or" >&2
        echo "setup: CORPUSCLE_DEPS to a folder that another machine's set-up has filled" >&2
        exit 1
    fi
    has_mkl || { echo "setup: $MKLROOT lacks the static libraries of Intel MKL: remove it and run this again" >&2; exit 1; }
fi

if ! has_fetched_mpi; then
    folder=${MPICC%/bin/mpicc}
    echo "setup: installing Open MPI 5 into $folder (25 MB)"
    if ! install_venv "$folder" --require-hashes -r jobscripts/openmpi5-requirements.txt; then
        echo "setup: Open MPI 5 could not be fetched: use MPI=openmpi with a module of it" >&2
        exit 1
    fi
    has_mpi || { echo "setup: $folder lacks mpicc or mpirun: remove it and run this again" >&2; exit 1; }
fi

if ! has_python; then
    folder=${CORPUSCLE_PYTHON%/bin/python}
    if ! can_venv || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "setup: no Python 3.11 with venv: going on without h5py, anndata and scipy" >&2
    elif [[ $folder == "$CORPUSCLE_PYTHON" || -e $folder/bin/python ]]; then
        echo "setup: $CORPUSCLE_PYTHON lacks h5py, anndata or scipy: going on without" >&2
    else
        echo "setup: installing h5py, anndata and scipy into $folder (400 MB)"
        install_venv "$folder" --only-binary :all: -r jobscripts/python-requirements.txt || echo "setup: h5py, anndata and scipy could not be fetched: going on without" >&2
    fi
fi

if ! has_chromium; then
    # The same way as the packages above, but nothing depends on it.
    if can_install && echo "setup: installing chromium" && export DEBIAN_FRONTEND=noninteractive && apt-get -qq update &&
        apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends -y chromium >/dev/null; then
        :
    else
        echo "setup: no Chromium: going on without, pages of corpuscle report are not tested in a browser" >&2
    fi
fi

# Read to its end: a launcher whose pipe is closed early fails, and set-up with it.
mpi_name=$(${CORPUSCLE_MPIRUN%% *} --version 2>&1 | sed -nE 's/^ *Version: */MPICH /p; s/.*\((Open MPI|OpenRTE)\) /Open MPI /p')
mpi_name=${mpi_name%%$'\n'*}
echo "setup: ready: ${mpi_name:-$MPICC}, HDF5 $(pkg-config --modversion hdf5 2>/dev/null || echo "in ${HDF5_DIR:-/usr}"), MKL ${MKLROOT##*/mkl-}, Rust $rust"
