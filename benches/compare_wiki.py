#!/usr/bin/env python3
"""`build` on a dump of Wikipedia against gensim's WikiCorpus, core for core.

    . jobscripts/env.sh
    benches/compare_wiki.py DUMP.xml.bz2 --python PEERS_PYTHON

Both sides run on one core and go from the dump to dictionary and matrix on disk; corpuscle's time is that of the whole command,
gensim's that of its work alone, its tokens made once and kept in memory. The articles that are kept must be the same, and their
sets of tokens in nearly all of them. Two thirds of corpuscle's time go into decompressing.

PEERS_PYTHON is an interpreter with gensim and h5py. Exit status 1 when a bar does not hold.
"""
import argparse
import json
from pathlib import Path

from harness import Bars, keep, median, on_one_core, peer

HERE = Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("dump", type=Path, help="pages-articles.xml.bz2")
    options.add_argument("--python", required=True, help="interpreter with gensim and h5py")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of both (default %(default)s)")
    options.add_argument("--speed-up", type=float, default=8.0, metavar="X", help="bar for gensim / corpuscle (default %(default)s)")
    options.add_argument("--same", type=float, default=0.98, metavar="SHARE", help="bar for articles with the same tokens (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where the results go (default: target/bench)")
    given = options.parse_args()

    stem = given.work / f"{given.dump.name}.compare-wiki"
    stem.parent.mkdir(parents=True, exist_ok=True)
    corpus = Path(f"{stem}.h5")
    everything = ("--no-below", 1, "--no-above", 1, "--keep-n", "all")
    theirs, ours = [], []
    # In turn, so that a busy machine slows both.
    for _ in range(given.repeat):
        theirs.append(peer(given.python, "gensim_wiki.py", "build", given.dump, stem, core=True))
        ours.append(on_one_core("build", given.dump, "--input-format", "wiki", *everything, output=corpus))
    found = peer(given.python, "gensim_wiki.py", "check", corpus, stem)
    print(f"gensim {median(theirs):.2f} s, corpuscle {median(ours):.3f} s, {found['ours']} articles")
    for title, words in found["differ"].items():
        print(f"differs: {title}: {json.dumps(words, ensure_ascii=False)}")

    bars = Bars()
    for what, key in (("wall", "seconds"), ("CPU", "cpu_seconds")):
        ratio = median(theirs, lambda run: run[key]) / median(ours, lambda run: run[key])
        bars.at_least(f"speed-up over gensim on one core, {what} seconds", ratio, given.speed_up)
    bars.at_least("the same articles", float(found["same_articles"]), 1)
    bars.at_least("articles with the same set of tokens", found["same_tokens"], given.same)
    keep("compare_wiki", {"dump_bytes": given.dump.stat().st_size, "found": found, "corpuscle": ours, "gensim": theirs, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
