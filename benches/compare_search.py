#!/usr/bin/env python3
"""Scaling and search against scikit-learn and dask-ml, side by side in one run.

    . jobscripts/env.sh
    benches/compare_search.py DOCS.txt --labels LABELS.txt --python PEERS_PYTHON    # a document and a label a line

Three comparisons; corpuscle runs on one dispatcher and two workers of one thread each, and its time is that of the whole
command: start of MPI, reading, sending, writing.

scaler    1,000,000 x 200 doubles: scikit-learn fits and transforms an array that is in memory, in one process; corpuscle
          reads a .npy file and writes one: its phases fit and apply count. The whole command, which also starts MPI and
          waits until the file is on disk, is told too.
path      logistic regression for 20 C on scaled 200-dimensional vectors, 5 folds; joblib with two processes
pipeline  3 tf-idf x 4 n-gram and document-frequency settings x 6 k of LSI x 8 C, 5 folds. scikit-learn runs a sample of
          candidates (--sample) drawn evenly from all 576; its time is scaled up by 576 / sample. dask-ml, which fits a step
          that candidates share once, runs whole groups of 48 that share terms and weights (--groups); scaled up by 12 / groups.

PEERS_PYTHON is an interpreter with scikit-learn, scipy, numpy, h5py and dask-ml. Exit status 1 when a bar does not hold.
"""
import argparse
import json
import subprocess
from pathlib import Path

from harness import Bars, corpuscle, keep, made, median, peer

HERE = Path(__file__).resolve().parent
PATH = """
[[step]]
kind = "scale"
[[step]]
kind = "logistic"
[grid]
logistic__C = { logspace = [-3, 1.5, 20] }
[cv]
shuffle = true
seed = 0
[search]
refit = false
"""
PIPELINE = """
[[step]]
kind = "terms"
no_above = 0.5
keep_n = 100000
[[step]]
kind = "tfidf"
[[step]]
kind = "lsi"
[[step]]
kind = "scale"
[[step]]
kind = "logistic"
[grid]
terms__ngrams = [1, 2]
terms__no_below = [5, 20]
tfidf__smart = ["nfc", "lfc", "nnc"]
lsi__k = [50, 80, 110, 140, 170, 200]
logistic__C = { logspace = [-3, 0.5, 8] }
[cv]
shuffle = true
seed = 0
[search]
refit = false
"""


def cpu(run):
    return run["cpu_seconds"]


def search(work, name, text, data, *more):
    pipeline = work / f"{name}.toml"
    pipeline.write_text(text)
    results = work / f"{name}.json"
    run = corpuscle(2, "search", pipeline, data, *more, output=results)
    found = json.loads(results.read_text())["mean_test_score"]
    return {**run, "means": found, "best": max(found)}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("--labels", type=Path, required=True, help="the label of each document, one a line")
    options.add_argument("--python", required=True, help="interpreter with scikit-learn, scipy, numpy and h5py")
    options.add_argument("--only", choices=["scaler", "path", "pipeline"], action="append", help="leave out the others")
    options.add_argument("--sample", type=int, default=4, help="candidates scikit-learn runs (default %(default)s)")
    options.add_argument("--groups", type=int, default=1, help="groups of candidates dask-ml runs; 0: leave it out (default %(default)s)")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of scaler and path (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR")
    given = options.parse_args()
    wanted = given.only or ["scaler", "path", "pipeline"]
    work = given.work / given.docs.resolve().parent.name
    work.mkdir(parents=True, exist_ok=True)
    bars, record = Bars(), {}

    if "scaler" in wanted:
        rows = made(work / "million.npy", lambda: subprocess.run(
            [given.python, "-c", "import sys, numpy as np; np.save(sys.argv[1], "
             "np.random.RandomState(0).standard_normal((1000000, 200)))", str(work / "million.npy")], check=True))
        ours, theirs = [], []
        for _ in range(given.repeat):
            ours.append(corpuscle(2, "scale", rows, output=work / "scaled.npy"))
            theirs.append(peer(given.python, "search_peer.py", "scaler", 1000000, 200))
        (work / "scaled.npy").unlink()

        def work_seconds(run):
            phases = {entry["mean"]["name"]: entry["seconds"] for entry in run["totals"]["phases"]}
            return phases["fit"] + phases["apply"]
        print(f"scaler, median seconds: corpuscle {median(ours, work_seconds):.2f} to read, fit, apply and write "
              f"({median(ours):.2f} with start and sync to disk), scikit-learn {median(theirs):.2f} in memory")
        bars.at_least("scaler: speed-up over scikit-learn", median(theirs) / median(ours, work_seconds), 3)
        record["scaler"] = {"corpuscle": ours, "scikit-learn": theirs}

    if {"path", "pipeline"} & set(wanted):
        # Both n-gram settings are choices among the terms of one corpus.
        jsonl = work / "labelled.jsonl"
        texts = given.docs.read_text(encoding="utf-8").splitlines()
        labels = given.labels.read_text(encoding="utf-8").splitlines()
        jsonl.write_text("".join(json.dumps({"id": str(i), "text": t, "label": l}) + "\n"
                                 for i, (t, l) in enumerate(zip(texts, labels, strict=True))))
        corpus = made(work / "labelled.h5", lambda: corpuscle(
            2, "build", jsonl, "--text-field", "text", "--id-field", "id", "--label-field", "label", "--ngrams", "1,2",
            "--keep-n", "all", output=work / "labelled.h5"))

    if "path" in wanted:
        tfidf = made(work / "labelled-tfidf.h5", lambda: corpuscle(2, "tfidf", corpus, output=work / "labelled-tfidf.h5"))
        lsi = made(work / "labelled-lsi.h5", lambda: corpuscle(2, "lsi", tfidf, "-k", 200, output=work / "labelled-lsi.h5"))
        vectors = made(work / "labelled-vectors.h5",
                       lambda: corpuscle(2, "transform", lsi, tfidf, output=work / "labelled-vectors.h5"))
        ours, theirs = [], []
        for _ in range(given.repeat):
            ours.append(search(work, "path", PATH, vectors))
            theirs.append(peer(given.python, "search_peer.py", "path", vectors, processes=2))
        difference = max(abs(a - b) for a, b in zip(ours[0]["means"], theirs[0]["means"], strict=True))
        print(f"path, median seconds: corpuscle {median(ours):.2f}, scikit-learn {median(theirs):.2f}; "
              f"of CPU {median(ours, cpu):.2f}, {median(theirs, cpu):.2f}")
        bars.at_least("path: speed-up over scikit-learn", median(theirs) / median(ours), 5)
        bars.at_most("path: largest difference of a mean accuracy", difference, 1e-3)
        record["path"] = {"corpuscle": ours, "scikit-learn": theirs}

    if "pipeline" in wanted:
        ours = search(work, "pipeline", PIPELINE, corpus)
        theirs = peer(given.python, "search_peer.py", "pipeline", given.docs, given.labels, given.sample, processes=2)
        scaled = theirs["seconds"] * theirs["candidates"] / given.sample
        print(f"pipeline, seconds: corpuscle {ours['seconds']:.1f} (best {ours['best']:.4f}), scikit-learn "
              f"{theirs['seconds']:.1f} for {given.sample} of {theirs['candidates']} candidates: {scaled:.0f} for all; of CPU "
              f"{cpu(ours):.1f}, {cpu(theirs) * theirs['candidates'] / given.sample:.0f} for all")
        bars.at_least("pipeline: speed-up over scikit-learn, scaled up from its sample", scaled / ours["seconds"], 20)
        record["pipeline"] = {"corpuscle": ours, "scikit-learn": theirs, "sample": given.sample}
        if given.groups:
            theirs = peer(given.python, "search_peer.py", "shared", given.docs, given.labels, given.groups, processes=2)
            scaled = theirs["seconds"] * theirs["groups"] / given.groups
            print(f"pipeline, seconds: dask-ml {theirs['seconds']:.1f} for {given.groups} of {theirs['groups']} groups: {scaled:.0f} for "
                  f"all; of CPU {cpu(theirs) * theirs['groups'] / given.groups:.0f} for all")
            bars.at_least("pipeline: speed-up over dask-ml, scaled up from its groups", scaled / ours["seconds"], 10)
            record["pipeline"].update({"dask-ml": theirs, "groups": given.groups})

    keep("compare_search", {**record, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
