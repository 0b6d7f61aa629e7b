#!/usr/bin/env python3
"""NMF against gensim's Nmf and scikit-learn's NMF and MiniBatchNMF, PCA against scikit-learn's, side by side in one run.

    . jobscripts/env.sh
    benches/compare_nmf.py DOCS.txt --python PEERS_PYTHON    # DOCS.txt: one document a line

NMF of the tf-idf weights of the documents: error of each model by one judge (nmf_peer.py), CPU seconds on one core; ours are those of the whole
command, with start, reading and the last pass that tells the error. PCA of rows of 200 columns, in float64: CPU seconds, and how far explained
variances and components are apart. PEERS_PYTHON is an interpreter with gensim, scikit-learn and h5py. Exit status 1 when a bar does not hold.
"""
import argparse
import json
import struct
import subprocess
from array import array
from pathlib import Path
import random

from harness import Bars, keep, made, on_one_core, peer, weighted_corpus

HERE = Path(__file__).resolve().parent


def dense_rows(path, rows=40_000, columns=200):
    """Correlated numbers as numpy writes them."""
    chance = random.Random(1)
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
    head = head.ljust(117) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        for _ in range(rows):
            level, row = 0.0, array("d")
            for column in range(columns):
                level = 0.9 * level + chance.gauss(0, 1)
                row.append(level * (1 + column % 7) + column)
            row.tofile(file)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("--python", required=True, help="interpreter with gensim, scikit-learn and h5py")
    options.add_argument("-k", type=int, default=50, help="topics (default %(default)s)")
    options.add_argument("--passes", type=int, nargs="+", default=[1, 5], help="default: 1 and 5")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora are kept (default: target/bench)")
    given = options.parse_args()
    stem, weighted = weighted_corpus(given.work, given.docs)
    model, k, bars, results = Path(f"{stem}.nmf.h5"), given.k, Bars(), {}
    for passes in given.passes:
        ours = on_one_core("nmf", weighted, "-k", k, "--passes", passes, output=model)
        ours |= peer(given.python, "nmf_peer.py", "corpuscle", weighted, model)
        theirs = peer(given.python, "nmf_peer.py", "gensim", weighted, k, passes, core=True)
        batches = peer(given.python, "nmf_peer.py", "minibatch", weighted, k, passes, core=True)
        results[passes] = {"corpuscle": ours, "gensim": theirs, "MiniBatchNMF": batches}
        for name, run in results[passes].items():
            print(f"{passes} passes, {name}: error {run['error']:.4f}, {run['cpu_seconds']:.1f} CPU s", flush=True)
        bars.at_most(f"error over gensim's, {passes} passes", ours["error"] / theirs["error"], 1)
        bars.at_least(f"gensim's CPU seconds over ours, {passes} passes", theirs["cpu_seconds"] / ours["cpu_seconds"], 1)
    whole = peer(given.python, "nmf_peer.py", "scikit-learn", weighted, k, core=True)
    print(f"scikit-learn's NMF: error {whole['error']:.4f}, {whole['cpu_seconds']:.1f} CPU s", flush=True)
    bars.at_most("error over scikit-learn's NMF", ours["error"] / whole["error"], 1.01)

    rows, components = made(given.work / "rows.npy", lambda: dense_rows(given.work / "rows.npy")), given.work / "pca.h5"
    ours = on_one_core("pca", rows, "-k", 50, output=components)
    theirs = peer(given.python, "nmf_peer.py", "pca", rows, 50, core=True)
    read = "import h5py, json, sys; f = h5py.File(sys.argv[1]); print(json.dumps([f[n][:].T.tolist() for n in ('explained_variance', 'components')]))"
    variance, axes = json.loads(subprocess.run([given.python, "-c", read, components], check=True, capture_output=True, text=True).stdout)
    apart = lambda one, other: max(abs(a - b) for a, b in zip(one, other, strict=True))
    full = theirs["full"]
    off = apart(variance, full["explained_variance"]) / variance[0]
    axes_off = max(apart(one, other) for one, other in zip(axes, full["components"], strict=True))
    bars.at_most("variances from those of svd_solver=full, over the largest", off, 1e-12)
    bars.at_most("components from those of svd_solver=full", axes_off, 1e-9)
    for solver, run in theirs.items():
        ratio = run["cpu_seconds"] / ours["cpu_seconds"]
        print(f"PCA: {run['cpu_seconds']:.2f} CPU s with svd_solver={solver}, {ratio:.1f} times ours")
        del run["components"], run["explained_variance"]
    bars.at_least("CPU seconds of svd_solver=full over ours", theirs["full"]["cpu_seconds"] / ours["cpu_seconds"], 1)
    keep("compare_nmf", {"docs": given.docs.name, "k": k, "nmf": results, "scikit-learn": whole, "pca": {"corpuscle": ours, **theirs},
                         "variance_off": off, "components_off": axes_off, "bars": bars.lines})
    return bars.finish()


if __name__ == "__main__":
    raise SystemExit(main())
