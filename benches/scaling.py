#!/usr/bin/env python3
"""How `build` and `lsi` scale from one worker to two, and what the dispatcher costs.

    . jobscripts/env.sh
    benches/scaling.py DOCS.txt         # DOCS.txt: one document a line

Each worker has one thread; the dispatcher has no core of its own on a machine of two. Times are those of the whole
command. One worker and two take turns, so that a busy machine slows both. Exit status 1 when a bar does not hold.
"""
import argparse
from pathlib import Path

from harness import Bars, corpuscle, dispatcher_cpu, keep, median, weighted_corpus

HERE = Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("-k", type=int, default=200, help="singular triplets (default %(default)s)")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each (default %(default)s)")
    options.add_argument("--speed-up", type=float, default=1.7, metavar="X", help="bar for two workers (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora are kept (default: target/bench)")
    given = options.parse_args()

    stem, weighted = weighted_corpus(given.work, given.docs)
    commands = {
        "build": (("build", given.docs), f"{stem}.scaling.corpus.h5"),
        "lsi": (("lsi", weighted, "-k", given.k), f"{stem}.scaling.lsi.h5"),
    }
    bars, runs = Bars(), {}
    for name, (arguments, output) in commands.items():
        runs[name] = {1: [], 2: []}
        for _ in range(given.repeat):
            for workers, taken in runs[name].items():
                taken.append(corpuscle(workers, *arguments, output=output))
        one, two = (median(taken) for taken in runs[name].values())
        inside = [median(taken, lambda run: run["totals"]["seconds"]) for taken in runs[name].values()]
        print(f"{name}: one worker {one:.2f} s, two {two:.2f} s (medians of {given.repeat}); without the start and end of MPI "
              f"{inside[0]:.2f} s and {inside[1]:.2f} s: {inside[0] / inside[1]:.2f}")
        bars.at_least(f"{name}: two workers over one", one / two, given.speed_up)
        # The phase in which the workers work and the dispatcher waits; in others it reads or writes files.
        phase = {"build": "count", "lsi": "krylov"}[name]
        cpu = median(runs[name][2], lambda run: dispatcher_cpu(run, phase))
        bars.at_most(f"{name}: dispatcher CPU, per cent of a core", cpu, 5)
    keep("scaling", {"k": given.k, "runs": runs, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
