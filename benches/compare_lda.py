#!/usr/bin/env python3
"""LDA against gensim's LdaModel and tomotopy's Gibbs sampler, side by side in one run, on the same documents.

    . jobscripts/env.sh
    benches/compare_lda.py DOCS.txt --python PEERS_PYTHON    # DOCS.txt: one document a line

What counts is the time to a given quality. gensim makes three passes, tomotopy 200 iterations; corpuscle makes as many
passes as it takes to reach the perplexity of each, by one evaluator, and its time is that of the whole command: start of
MPI, reading, training, writing. corpuscle runs on one dispatcher and two workers, tomotopy on two workers, gensim with two
threads for its BLAS; the peers' time is that of training alone. Against tomotopy, which learns alpha, so does
corpuscle (--alpha learned). Online variational Bayes has gensim's parameters and as many
passes, and is compared by the seconds of training a pass. One worker and two are compared by scaling.py.

PEERS_PYTHON is an interpreter with gensim, tomotopy, numpy and h5py. Exit status 1 when a bar does not hold.
"""
import argparse
import subprocess
from pathlib import Path

from harness import Bars, corpuscle, keep, made, peer

HERE = Path(__file__).resolve().parent
PASSES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("--python", required=True, help="interpreter with gensim, tomotopy, numpy and h5py")
    options.add_argument("-k", type=int, default=100, help="topics (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora are kept (default: target/bench)")
    given = options.parse_args()

    stem = given.work / given.docs.resolve().parent.name / given.docs.stem
    corpus = made(f"{stem}.corpus.h5", lambda: corpuscle(2, "build", given.docs, output=f"{stem}.corpus.h5"))
    train, held_out = Path(f"{stem}.train.h5"), Path(f"{stem}.held-out.h5")

    def split():
        command = ["corpuscle", "split", corpus, "--test", "0.1", "--train-out", train, "--test-out", held_out, "-q"]
        subprocess.run(list(map(str, command)), check=True)

    made(held_out, split)
    model = Path(f"{stem}.lda.h5")

    def ours(passes, workers=2, *more):
        return corpuscle(workers, "lda", train, "-k", given.k, "--passes", passes, *more, output=model)

    def perplexity():
        return peer(given.python, "lda_peer.py", "corpuscle", model, held_out)["perplexity"]

    def until(wanted, *more):
        """The first number of passes that is as good."""
        for passes in PASSES:
            run = ours(passes, 2, *more)
            run |= {"passes": passes, "perplexity": perplexity()}
            print(f"corpuscle, {passes} passes: {run['seconds']:.2f} s, perplexity {run['perplexity']:.1f}", flush=True)
            if run["perplexity"] <= wanted:
                break
        return run

    def training(run):
        return next(entry["mean"]["seconds"] for entry in run["totals"]["phases"] if entry["mean"]["name"] == "train")

    gensim = peer(given.python, "lda_peer.py", "gensim", train, held_out, given.k, 3)
    print(f"gensim, 3 passes: {gensim['seconds']:.2f} s, perplexity {gensim['perplexity']:.1f}", flush=True)
    to_gensim = until(gensim["perplexity"])
    online = ours(3, 2, "--method", "online", "--kappa", 0.7, "--tau0", 10, "--alpha", 0.01, "--eta", 0.01)
    online |= {"passes": 3, "perplexity": perplexity()}
    print(f"corpuscle, online, 3 passes: {training(online):.2f} s, perplexity {online['perplexity']:.1f}", flush=True)
    tomotopy = peer(given.python, "lda_peer.py", "tomotopy", train, held_out, given.k, 200)
    print(f"tomotopy, 200 iterations: {tomotopy['seconds']:.2f} s, perplexity {tomotopy['perplexity']:.1f}", flush=True)
    to_tomotopy = until(tomotopy["perplexity"], "--alpha", "learned")
    default = ours(10, 2, "--alpha", "learned") | {"passes": 10}
    default["perplexity"] = perplexity()

    bars = Bars()
    bars.at_most("passes to gensim's perplexity", to_gensim["passes"], 1)
    bars.at_least("gensim's seconds over corpuscle's, same perplexity", gensim["seconds"] / to_gensim["seconds"], 10)
    bars.at_most("online: perplexity over gensim's", online["perplexity"] / gensim["perplexity"], 1.01)
    bars.at_least("online: gensim's seconds a pass over corpuscle's", gensim["seconds"] / training(online), 8)
    bars.at_most("default passes: perplexity over tomotopy's", default["perplexity"] / tomotopy["perplexity"], 1.01)
    bars.at_most("perplexity over tomotopy's", to_tomotopy["perplexity"] / tomotopy["perplexity"], 1.01)
    bars.at_least("tomotopy's seconds over corpuscle's, same perplexity", tomotopy["seconds"] / to_tomotopy["seconds"], 3)
    keep("compare_lda", {"k": given.k, "gensim": gensim, "to_gensim": to_gensim, "online": online, "default": default,
                         "tomotopy": tomotopy, "to_tomotopy": to_tomotopy, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
