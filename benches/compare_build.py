#!/usr/bin/env python3
"""`build` against gensim's Dictionary, doc2bow and MmCorpus.serialize, core for core, on the same documents.

    . jobscripts/env.sh
    benches/compare_build.py DOCS.txt --python PEERS_PYTHON       # DOCS.txt: one document a line

Both sides run on one core. corpuscle's time is that of the whole command: reading, counting, writing with checksums, to disk.
gensim's is that of its work alone; it goes both ways, tokens made twice as its documentation does it and tokens kept in memory,
and the faster counts. Tokens are those of gensim's simple_preprocess, terms those of filter_extremes(5, 0.5, 100000). Dictionary
and matrix must be the same, entry by entry.

PEERS_PYTHON is an interpreter with gensim, numpy and h5py. Exit status 1 when a bar does not hold.
"""
import argparse
from pathlib import Path

from harness import Bars, keep, median, on_one_core, peer

HERE = Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("--python", required=True, help="interpreter with gensim, numpy and h5py")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of corpuscle (default %(default)s)")
    options.add_argument("--speed-up", type=float, default=10.0, metavar="X", help="bar for gensim / corpuscle (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where the results go (default: target/bench)")
    given = options.parse_args()

    stem = given.work / given.docs.resolve().parent.name / f"{given.docs.stem}.compare-build"
    stem.parent.mkdir(parents=True, exist_ok=True)
    corpus = Path(f"{stem}.h5")

    theirs, ours = {}, []
    for mode in ("stream", "memory"):
        theirs[mode] = peer(given.python, "gensim_build.py", mode, given.docs, stem, core=True)
        # In turn, so that a busy machine slows both.
        ours += [on_one_core("build", given.docs, output=corpus) for _ in range(given.repeat)]
        print(f"gensim, {mode}: {theirs[mode]['seconds']:.1f} s, {theirs[mode]['cpu_seconds']:.1f} s of CPU; "
              f"corpuscle: {median(ours):.2f} s, {median(ours, lambda run: run['cpu_seconds']):.2f} s of CPU", flush=True)
    same = peer(given.python, "gensim_build.py", "check", corpus, stem)

    bars = Bars()
    for what, key in (("wall", "seconds"), ("CPU", "cpu_seconds")):
        best = min(run[key] for run in theirs.values())
        bars.at_least(f"speed-up over gensim on one core, {what} seconds", best / median(ours, lambda run: run[key]), given.speed_up)
    bars.at_least("dictionary is gensim's", float(same["same_dictionary"]), 1)
    bars.at_least("matrix is gensim's", float(same["same_matrix"]), 1)
    keep("compare_build", {"text_bytes": given.docs.stat().st_size, "corpus": same, "corpuscle": ours, "gensim": theirs, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
