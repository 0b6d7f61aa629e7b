#!/usr/bin/env python3
"""Exact nearest neighbours against faiss and gensim, side by side in one run, on the same vectors.

    . jobscripts/env.sh
    benches/query.py --python PEERS_PYTHON

corpuscle goes first over the index in eight bits, which leaves some twenty documents a query to be computed exactly, and in another run
over single precision (`--first-pass f32`): the two answers are compared byte for byte, and recall is counted from them.

The 10 nearest of 1,000,000 vectors of 200 numbers to each of 1,000 queries; vectors of synthetic documents. corpuscle runs
on one dispatcher and two workers; its time is that of the phase `search`: reading the queries, sending them, searching,
bringing the neighbours together, but not bringing the index to the workers. faiss (IndexFlatIP) and gensim
(MatrixSimilarity, 256 queries at a time, as it does itself) get two threads, and their time is that of the search in an index
that is in memory. They take turns, so that a busy machine slows all.

PEERS_PYTHON is an interpreter with faiss, gensim, numpy and h5py. Exit status 1 when a bar does not hold.
"""
import argparse
import json
import os
import subprocess
from pathlib import Path

from harness import Bars, corpuscle, dispatcher_cpu, keep, made, median

HERE = Path(__file__).resolve().parent


def peer(python, *arguments):
    """Runs query_peers.py with two threads and returns the JSON object it prints."""
    environment = dict(os.environ, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2", MKL_NUM_THREADS="2")
    # Settings that pin OpenBLAS to the kernels of an older core would slow the peers down.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        environment.pop(name, None)
    command = [python, str(HERE / "query_peers.py"), *map(str, arguments)]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout)


def search_seconds(run):
    """Wall seconds of the slowest rank in the phase `search`."""
    return next(entry["seconds"] for entry in run["totals"]["phases"] if entry["mean"]["name"] == "search")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--python", help="interpreter with faiss, gensim, numpy and h5py")
    options.add_argument("--documents", type=int, default=1_000_000, help="vectors of the index (default %(default)s)")
    options.add_argument("--queries", type=int, default=1000, help="(default %(default)s)")
    options.add_argument("-k", type=int, default=200, help="numbers in a vector (default %(default)s)")
    options.add_argument("--top", type=int, default=10, help="neighbours of a query (default %(default)s)")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each side (default %(default)s)")
    options.add_argument("--faiss", type=float, default=1.0, metavar="X", help="bar for faiss / corpuscle (default %(default)s)")
    options.add_argument("--gensim", type=float, default=3.0, metavar="X", help="bar for gensim / corpuscle (default %(default)s)")
    options.add_argument("--int8", type=float, default=3.0, metavar="X",
                         help="bar for single precision / eight bits (default %(default)s)")
    options.add_argument("--no-peers", action="store_true", help="leave faiss and gensim out")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where vectors and the index are kept (default: target/bench)")
    given = options.parse_args()

    def corpus(documents, seed):
        path = given.work / f"query-{documents}-seed{seed}.corpus.h5"
        return made(path, lambda: corpuscle(
            2, "generate", "--documents", documents, "--terms", 5000, "--mean-length", 60, "--seed", seed, output=path))

    def vectors(documents, seed):
        path = given.work / f"query-{documents}-k{given.k}-seed{seed}.vectors.h5"
        return made(path, lambda: corpuscle(2, "transform", model, corpus(documents, seed), "--scaled", output=path))

    model = given.work / f"query-k{given.k}.lsi.h5"
    made(model, lambda: corpuscle(2, "lsi", corpus(20 * given.k, 3), "-k", given.k, "--rounds", 12, output=model))
    documents, queries = vectors(given.documents, 1), vectors(given.queries, 2)
    index = Path(f"{documents}.index.h5")
    made(index, lambda: corpuscle(2, "index", documents, output=index))
    found, plain = given.work / "query.neighbours.h5", given.work / "query.f32.h5"

    peers = () if given.no_peers else ("faiss", "gensim")
    runs = {"corpuscle": [], "f32": [], **{name: [] for name in peers}}
    for turn in range(given.repeat):
        ask = ("query", index, queries, "--top", given.top)
        runs["f32"].append(corpuscle(2, *ask, "--first-pass", "f32", output=plain))
        runs["corpuscle"].append(corpuscle(2, *ask, "--first-pass", "int8", output=found))
        rescored = json.loads(Path(f"{found}.run.json").read_text())["result"]["exact_similarities"]
        runs["corpuscle"][-1]["exact_similarities_a_query"] = rescored / given.queries
        for name in peers:
            runs[name].append(peer(given.python, name, index, queries, given.top, found))
        last = {"int8": search_seconds(runs["corpuscle"][-1]), "f32": search_seconds(runs["f32"][-1])}
        last |= {name: runs[name][-1]["seconds"] for name in peers}
        print(f"run {turn + 1}: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in last.items()), flush=True)

    ours, f32 = median(runs["corpuscle"], search_seconds), median(runs["f32"], search_seconds)
    print(f"median seconds: eight bits {ours:.2f}, single precision {f32:.2f}; "
          f"{runs['corpuscle'][-1]['exact_similarities_a_query']:.0f} exact similarities a query")
    bars = Bars()
    bars.at_least("speed-up of eight bits over single precision", f32 / ours, given.int8)
    # Equal bytes are equal neighbours: recall is 1, and by the bound it could be nothing else.
    bars.at_least("recall of eight bits", 1.0 if found.read_bytes() == plain.read_bytes() else 0.0, 0.999)
    for name in peers:
        bars.at_least(f"speed-up over {name}", median(runs[name]) / ours, getattr(given, name))
        bars.at_most(f"largest difference of a similarity from that of {name}", runs[name][-1]["difference"], 1e-5)
    bars.at_most("dispatcher CPU, per cent of a core", median(runs["corpuscle"], lambda run: dispatcher_cpu(run, "search")), 5)
    sizes = {"documents": given.documents, "queries": given.queries, "k": given.k, "top": given.top}
    keep("query", {**sizes, **runs, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
