# shellcheck shell=bash
# Environment for building and running corpuscle; to be sourced, by bash or zsh:
#
#     . jobscripts/env.sh              # Open MPI, or whichever mpicc a module put on the path
#     MPI=mpich . jobscripts/env.sh    # MPICH, with a target folder of its own
#     MPI=openmpi5 . jobscripts/env.sh # the Open MPI 5 that setup.sh fetches, likewise
#
# It installs nothing (setup.sh does) and may be sourced again to switch. It exports
#   MKLROOT, LIBCLANG_PATH, HDF5_DIR   what cargo's build scripts look for; values set by modules are kept
#   CORPUSCLE_PYTHON                   a Python with h5py, anndata and scipy, to read result files and to test the documentation
#   MPICC, CARGO_TARGET_DIR            which MPI is linked, and where that build lives
#   CORPUSCLE_MPIRUN                   the launcher of that MPI with its options, separated by spaces
#   CORPUSCLE_MPIRUN_RECOVERY          the options under which a job outlives a dead worker; empty where there are none
#   UCX_LOG_FILE                       standard error, unless set
#   LD_LIBRARY_PATH                    with Open MPI 5 only, its libraries
#   PATH                               so that `corpuscle` is the release build

corpuscle_env() {
    local here root deps version dir mpi=${MPI:-openmpi}
    if [ -n "${ZSH_VERSION:-}" ]; then
        eval 'here=${(%):-%x}' # zsh's name for the file being read; other shells cannot even parse it
    else
        here=${BASH_SOURCE[0]}
    fi
    root=$(CDPATH='' cd -- "$(dirname -- "$here")/.." && pwd) || return 1

    deps=${CORPUSCLE_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/corpuscle}

    # Intel MKL: one already loaded (with its static libraries) wins over the one setup.sh installs.
    if [ ! -e "${MKLROOT:-/nonexistent}/lib/libmkl_core.a" ] && [ ! -e "${MKLROOT:-/nonexistent}/lib/intel64/libmkl_core.a" ]; then
        version=$(sed -n 's/^mkl-static==\([0-9.]*\).*/\1/p' "$root/jobscripts/mkl-requirements.txt")
        export MKLROOT=$deps/mkl-$version
    fi

    # Python: one that was named wins. The folder's name changes with the list of packages, so that an old one is not used.
    if [ ! -x "${CORPUSCLE_PYTHON:-/nonexistent}" ]; then
        version=$(cksum <"$root/jobscripts/python-requirements.txt" | cut -d' ' -f1)
        export CORPUSCLE_PYTHON=$deps/python-$version/bin/python
    fi

    # bindgen needs libclang together with clang's own headers. Left alone it takes the newest libclang, which on
    # systems with several LLVMs may come without them: name the newest complete one.
    if [ -z "${LIBCLANG_PATH:-}" ]; then
        for dir in $(corpuscle_clang_folders); do
            if [ -n "$(find "$dir" -maxdepth 1 -name 'libclang[.-]*so*' 2>/dev/null)" ]; then
                export LIBCLANG_PATH=$dir
                break
            fi
        done
    fi

    # Serial HDF5 is what we want (rank 0 writes, workers read). Modules name it HDF5_ROOT as often as HDF5_DIR;
    # on Debian the parallel library, where installed, would be picked first.
    if [ -z "${HDF5_DIR:-}" ]; then
        if [ -n "${HDF5_ROOT:-}" ]; then
            export HDF5_DIR=$HDF5_ROOT
        elif pkg-config --cflags hdf5 2>/dev/null | grep -q mpi && pkg-config --exists hdf5-serial; then
            HDF5_DIR=$(pkg-config --libs-only-L hdf5-serial | sed 's/^-L//; s/ .*//')
            export HDF5_DIR
        fi
    fi

    # rsmpi asks MPI_PKG_CONFIG, CRAY_MPICH_DIR and `$MPICC -show`, in this order; the first two are left to those who
    # set them. Debian installs several MPIs side by side with a suffix; elsewhere there is one plain mpicc at a time.
    local launcher=mpirun libraries
    export MPICC=mpicc
    # Open MPI 5 has the library names of Open MPI 4, which stands on Debian's search path: its own must come first, and
    # must be gone again when another MPI is asked for.
    libraries=${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}:
    if [ -n "${CORPUSCLE_MPI_LIBRARIES:-}" ]; then
        libraries=${libraries/:$CORPUSCLE_MPI_LIBRARIES:/:}
        unset CORPUSCLE_MPI_LIBRARIES
    fi
    case $mpi in
        openmpi | mpich)
            if command -v "mpicc.$mpi" >/dev/null; then
                MPICC=mpicc.$mpi launcher=mpirun.$mpi
            fi
            ;;
        openmpi5)
            version=$(sed -n 's/^openmpi==\([0-9.]*\).*/\1/p' "$root/jobscripts/openmpi5-requirements.txt")
            dir=$deps/openmpi-$version
            MPICC=$dir/bin/mpicc launcher=$dir/bin/mpirun
            export CORPUSCLE_MPI_LIBRARIES=$dir/lib
            libraries=:$dir/lib$libraries
            ;;
        *)
            echo "env.sh: MPI=$mpi is not known: use openmpi, openmpi5 or mpich" >&2
            return 2
            ;;
    esac

    libraries=${libraries#:} libraries=${libraries%:}
    if [ -n "$libraries" ]; then
        export LD_LIBRARY_PATH=$libraries
    else
        unset LD_LIBRARY_PATH
    fi

    # Cargo does not notice a change of MPI: a target folder for each.
    case ${CARGO_TARGET_DIR:-} in
        "$root/target-mpich" | "$root/target-openmpi5") unset CARGO_TARGET_DIR ;;
    esac
    if [ "$mpi" != openmpi ]; then
        export CARGO_TARGET_DIR=$root/target-$mpi
    fi
    dir=${CARGO_TARGET_DIR:-$root/target}/release
    case ${PATH}: in
        "$dir":*) ;;
        *) export PATH="$dir:$PATH" ;;
    esac

    # MPICH's transport may have something to say when a job ends; standard output is for results.
    export UCX_LOG_FILE=${UCX_LOG_FILE:-stderr}

    # More ranks than cores is the normal case here: the dispatcher sleeps. Unbound ranks may use --threads.
    # Under the name mpirun.openmpi, Open MPI 4 introduces itself as OpenRTE.
    local options='' recovery=''
    case $("$launcher" --version 2>/dev/null) in
        *'Open MPI) 4'* | *'OpenRTE) 4'*) options=' --oversubscribe --bind-to none' recovery='--enable-recovery' ;;
        *'Open MPI'* | *PRRTE*) options=' --oversubscribe --bind-to none' recovery='--with-ft ulfm' ;;
    esac
    export CORPUSCLE_MPIRUN=$launcher$options CORPUSCLE_MPIRUN_RECOVERY=$recovery

    # Open MPI refuses root unless told twice; containers have no one else.
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
        export PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
}

# Folders that may hold a libclang, the most trusted first.
corpuscle_clang_folders() {
    local clang
    find /usr/lib -maxdepth 6 -path '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' 2>/dev/null |
        sed 's|/clang/.*||' | sort -rV
    # A module's clang; then the places of other distributions.
    clang=$(command -v clang) && dirname "$(dirname "$(readlink -f "$clang")")" | sed 's|$|/lib|'
    printf '%s\n' /usr/lib64 /usr/lib
}

corpuscle_env
# Keep the status of corpuscle_env and leave no function behind.
eval "unset -f corpuscle_env corpuscle_clang_folders; return $?"
