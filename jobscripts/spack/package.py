"""corpuscle as a Spack package, in a repository of one's own:

    spack repo create lab && mkdir -p lab/packages/corpuscle
    cp jobscripts/spack/package.py lab/packages/corpuscle/
    spack repo add lab
    git archive --prefix=corpuscle-0.1.0/ -o corpuscle-0.1.0.tar.gz HEAD
    spack install --no-checksum corpuscle
"""

import os

from spack.package import *


class Corpuscle(CargoPackage):
    """Latent semantic indexing, topic models and search over text collections, over MPI."""

    # The archive is taken from the folder that `spack install` is called in.
    url = f"file://{os.getcwd()}/corpuscle-0.1.0.tar.gz"

    license("MIT OR Apache-2.0")

    version("0.1.0")

    variant("mpi", default=True, description="Run as many ranks; without, one")
    variant(
        "dense",
        default="openblas",
        values=("openblas", "faer"),
        description="What multiplies dense matrices: OpenBLAS, or Rust",
    )

    depends_on("c", type="build")
    depends_on("rust@1.89:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("llvm+clang", type="build", when="+mpi")
    depends_on("mpi", when="+mpi")
    depends_on("hdf5@1.10:~mpi")
    depends_on("openblas threads=none", when="dense=openblas")

    @property
    def build_args(self):
        features = [self.spec.variants["dense"].value]
        if self.spec.satisfies("+mpi"):
            features.append("mpi")
        return ["--locked", "--no-default-features", "--features", ",".join(features)]

    def setup_build_environment(self, env):
        env.set("HDF5_DIR", self.spec["hdf5"].prefix)
        if self.spec.satisfies("+mpi"):
            env.set("MPICC", self.spec["mpi"].mpicc)
            env.set("LIBCLANG_PATH", self.spec["llvm"].prefix.lib)
