#!/usr/bin/env python3
"""LSI against gensim's LsiModel, side by side in one run, on the same weighted corpus.

    . jobscripts/env.sh
    benches/compare_gensim.py DOCS.txt --python PEERS_PYTHON    # DOCS.txt: one document a line

Three take turns: gensim's one-pass model, `corpuscle lsi --one-pass` with chunks of the same size, and `corpuscle lsi` as it
is by default. corpuscle runs on one dispatcher and two workers, and its time is that of the whole command: start of MPI,
reading the corpus, residuals, writing the model. gensim gets two threads for its BLAS, and its time is that of LsiModel
alone, on documents that are in memory already.

PEERS_PYTHON is an interpreter with gensim, scikit-learn, scipy, numpy and h5py. Exit status 1 when a bar does not hold.
"""
import argparse
from pathlib import Path

from harness import Bars, corpuscle, exact_singular_values, keep, largest_error, median, peer, weighted_corpus

HERE = Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("--python", required=True, help="interpreter with gensim, scikit-learn, scipy, numpy and h5py")
    options.add_argument("-k", type=int, default=200, help="singular triplets (default %(default)s)")
    options.add_argument("--chunk", type=int, default=20000, help="documents of a chunk (default %(default)s)")
    options.add_argument("--repeat", type=int, default=1, metavar="N", help="runs of each (default %(default)s)")
    options.add_argument("--speed-up", type=float, default=10.0, metavar="X",
                         help="bar for gensim / corpuscle's default (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora and references are kept (default: target/bench)")
    given = options.parse_args()

    stem, weighted = weighted_corpus(given.work, given.docs)
    exact = exact_singular_values(given.python, stem, weighted, given.k)
    once, full = Path(f"{stem}.one-pass.h5"), Path(f"{stem}.lsi.h5")

    runs = {"gensim": [], "one pass": [], "default": []}
    for _ in range(given.repeat):
        runs["gensim"].append(peer(given.python, "gensim_lsi.py", weighted, given.k, given.chunk))
        runs["one pass"].append(corpuscle(2, "lsi", weighted, "-k", given.k, "--one-pass", "--chunk-documents",
                                          given.chunk, output=once))
        runs["default"].append(corpuscle(2, "lsi", weighted, "-k", given.k, output=full))
        print(", ".join(f"{name} {taken[-1]['seconds']:.2f} s" for name, taken in runs.items()), flush=True)

    gensim = runs["gensim"][-1]
    quality = peer(given.python, "arpack.py", "check", weighted, once)
    optimum = sum(value * value for value in exact)
    energies = {"gensim": gensim["energy"], "one pass": sum(value * value for value in quality["singular_values"])}
    errors = {"gensim": largest_error(gensim["singular_values"], exact),
              "one pass": largest_error(quality["singular_values"], exact)}
    for name in energies:
        print(f"{name}: {energies[name] / optimum:.4%} of the energy that {given.k} vectors can hold, "
              f"largest relative error of a singular value {errors[name]:.2e}")
    bars = Bars()
    bars.at_least("energy of one pass over that of gensim's", energies["one pass"] / energies["gensim"], 1.0)
    bars.at_most("largest error of one pass over gensim's", errors["one pass"] / errors["gensim"], 0.5)
    bars.at_least("speed-up of the default over gensim", median(runs["gensim"]) / median(runs["default"]), given.speed_up)
    bars.at_least("speed-up of one pass over gensim", median(runs["gensim"]) / median(runs["one pass"]), 1.0)
    keep("compare_gensim", {"k": given.k, "chunk": given.chunk, "runs": runs, "energies": energies, "errors": errors,
                            "optimum": optimum, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
