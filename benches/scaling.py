#!/usr/bin/env python3
"""How `build` and `lsi` scale from one worker to two, and what the dispatcher costs.

    . jobscripts/env.sh
    benches/scaling.py DOCS.txt         # DOCS.txt: one document a line

Each worker has one thread; the dispatcher has no core of its own on a machine of two. Times are those of the whole
command, and beside them the totals of the accounting tables, which leave the start of MPI out: it takes as long for any number
of ranks, and a short run cannot scale beyond it. So `build` also runs on the text several times over. One worker and two take
turns, so that a busy machine slows both. Exit status 1 when a bar does not hold.
"""
import argparse
import shutil
from pathlib import Path

from harness import Bars, corpuscle, dispatcher_cpu, keep, made, median, weighted_corpus

HERE = Path(__file__).resolve().parent


def repeat(text, times, target):
    with open(target, "wb") as out:
        for _ in range(times):
            with open(text, "rb") as lines:
                shutil.copyfileobj(lines, out, 1 << 24)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("-k", type=int, default=200, help="singular triplets (default %(default)s)")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each (default %(default)s)")
    options.add_argument("--times", type=int, default=4, metavar="N", help="copies of the text in a longer one (default %(default)s; 1: none)")
    options.add_argument("--only", choices=["build", "lsi"], help="only this command")
    options.add_argument("--speed-up", type=float, default=1.7, metavar="X", help="bar for two workers (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora are kept (default: target/bench)")
    given = options.parse_args()

    stem, weighted = weighted_corpus(given.work, given.docs)
    commands = {
        "build": (("build", given.docs), f"{stem}.scaling.corpus.h5"),
        "lsi": (("lsi", weighted, "-k", given.k), f"{stem}.scaling.lsi.h5"),
    }
    if given.times > 1:
        # Lines of the same words, but the corpus is that of a text of this length: documents have numbers for names.
        longer = made(f"{stem}.times{given.times}.txt", lambda: repeat(given.docs, given.times, f"{stem}.times{given.times}.txt"))
        commands[f"build of {given.times} copies"] = (("build", longer), f"{stem}.scaling.corpus.h5")
    if given.only:
        commands = {name: command for name, command in commands.items() if name.split()[0] == given.only}
    bars, runs = Bars(), {}
    for name, (arguments, output) in commands.items():
        runs[name] = {1: [], 2: []}
        for _ in range(given.repeat):
            for workers, taken in runs[name].items():
                taken.append(corpuscle(workers, *arguments, output=output))
        one, two = (median(taken) for taken in runs[name].values())
        print(f"{name}: one worker {one:.2f} s, two {two:.2f} s (medians of {given.repeat})")
        inner = [median(taken, lambda run: run["totals"]["seconds"]) for taken in runs[name].values()]
        print(f"{name}: by the accounting tables {inner[0]:.2f} s and {inner[1]:.2f} s: {inner[0] / inner[1]:.2f} x")
        bars.at_least(f"{name}: two workers over one", one / two, given.speed_up)
        # The phase in which the workers work and the dispatcher waits; in others it reads or writes files.
        phase = {"build": "count", "lsi": "krylov"}[name.split()[0]]
        cpu = median(runs[name][2], lambda run: dispatcher_cpu(run, phase))
        bars.at_most(f"{name}: dispatcher CPU, per cent of a core", cpu, 5)
    keep("scaling", {"k": given.k, "runs": runs, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
