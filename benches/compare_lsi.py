#!/usr/bin/env python3
"""LSI against scikit-learn's ARPACK, side by side in one run, on the same weighted corpus.

    . jobscripts/env.sh
    benches/compare_lsi.py DOCS.txt --python PEERS_PYTHON       # DOCS.txt: one document a line

corpuscle runs on one dispatcher and two workers, and its time is that of the whole command: start of MPI, reading the
corpus, residuals, writing the model. ARPACK gets two threads, and its time is that of `TruncatedSVD.fit` alone, on a
matrix that is in memory already. They take turns, so that a busy machine slows both.

PEERS_PYTHON is an interpreter with scikit-learn, scipy, numpy and h5py. Exit status 1 when a bar does not hold.
"""
import argparse
from pathlib import Path

from harness import (Bars, corpuscle, dispatcher_cpu, exact_singular_values, keep, largest_error, median, peer,
                     weighted_corpus)

HERE = Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("--python", required=True, help="interpreter with scikit-learn, scipy, numpy and h5py")
    options.add_argument("-k", type=int, default=200, help="singular triplets (default %(default)s)")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each side (default %(default)s)")
    options.add_argument("--speed-up", type=float, default=6.0, metavar="X", help="bar for ARPACK / corpuscle (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora and references are kept (default: target/bench)")
    given = options.parse_args()

    stem, weighted = weighted_corpus(given.work, given.docs)
    exact = exact_singular_values(given.python, stem, weighted, given.k)
    model = Path(f"{stem}.lsi.h5")

    ours, theirs = [], []
    for turn in range(given.repeat):
        ours.append(corpuscle(2, "lsi", weighted, "-k", given.k, output=model))
        theirs.append(peer(given.python, "arpack.py", "fit", weighted, given.k))
        print(f"run {turn + 1}: corpuscle {ours[-1]['seconds']:.2f} s, ARPACK {theirs[-1]['seconds']:.2f} s", flush=True)

    quality = peer(given.python, "arpack.py", "check", weighted, model)

    print(f"median seconds: corpuscle {median(ours):.2f}, ARPACK {median(theirs):.2f} "
          f"(its largest relative error {largest_error(theirs[-1]['singular_values'], exact):.1e})")
    bars = Bars()
    bars.at_least("speed-up over ARPACK", median(theirs) / median(ours), given.speed_up)
    bars.at_most("largest relative error of a singular value", largest_error(quality["singular_values"], exact), 1e-4)
    bars.at_most("largest relative difference of a residual from numpy's", quality["residual_difference"], 0.1)
    bars.at_most("largest entry of U^T U - I", quality["orthogonality"], 1e-5)
    bars.at_most("dispatcher CPU, per cent of a core", median(ours, lambda run: dispatcher_cpu(run, "krylov")), 5)
    keep("compare_lsi", {"k": given.k, "corpus": quality["corpus"], "corpuscle": ours, "arpack": theirs, "quality": quality, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
