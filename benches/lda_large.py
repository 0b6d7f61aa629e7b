#!/usr/bin/env python3
"""Memory of LDA with K = 1,000 topics over V = 100,000 terms: predicted and real peak of every rank.

    . jobscripts/env.sh
    benches/lda_large.py                # one dispatcher and two workers

The corpus is generated, so that anybody has the same; there are few documents, for what takes memory is the model: K x V
numbers of 4 bytes, three times a worker. Exit status 1 when all ranks together exceed the bar, or one exceeds what was predicted.
"""
import argparse
import json
import os
import subprocess
from pathlib import Path

from harness import Bars, corpuscle, keep, made

HERE = Path(__file__).resolve().parent
GIB = 1 << 30


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("-k", type=int, default=1000, help="topics (default %(default)s)")
    options.add_argument("--terms", type=int, default=100_000, help="terms (default %(default)s)")
    options.add_argument("--documents", type=int, default=20_000, help="documents (default %(default)s)")
    options.add_argument("--mean-length", type=int, default=200, help="tokens of a document (default %(default)s)")
    options.add_argument("--passes", type=int, default=1, help="passes (default %(default)s)")
    options.add_argument("--gib", type=float, default=24, help="bar for all ranks together (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where the corpus is kept (default: target/bench)")
    given = options.parse_args()

    corpus = given.work / f"large-{given.documents}-{given.terms}-{given.mean_length}.h5"

    def generate():
        command = ["corpuscle", "generate", "--documents", given.documents, "--terms", given.terms, "--topics", 100,
                   "--mean-length", given.mean_length, "-q", "-o", corpus]
        subprocess.run(list(map(str, command)), check=True)

    made(corpus, generate)
    model = given.work / "large-lda.h5"
    run = corpuscle(2, "lda", corpus, "-k", given.k, "--passes", given.passes, output=model)
    ranks = json.loads(Path(f"{model}.run.json").read_text())["ranks"]
    run["ranks"] = [{name: rank[f"{name}_memory_bytes"] for name in ("peak", "predicted")} for rank in ranks]
    os.remove(model)
    for number, rank in enumerate(run["ranks"]):
        print(f"rank {number}: peak {rank['peak'] / GIB:.2f} GiB, {rank['predicted'] / GIB:.2f} GiB predicted")
    print(f"{run['seconds']:.1f} s, {run['cpu_seconds']:.1f} CPU seconds")
    bars = Bars()
    bars.at_most("GiB of all ranks", sum(rank["peak"] for rank in run["ranks"]) / GIB, given.gib)
    bars.at_most("largest peak over its prediction", max(rank["peak"] / rank["predicted"] for rank in run["ranks"]), 1)
    bars.at_most("largest prediction over its peak", max(rank["predicted"] / rank["peak"] for rank in run["ranks"]), 2)
    keep("lda_large", {"k": given.k, "terms": given.terms, "documents": given.documents, "passes": given.passes,
                       "run": run, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
