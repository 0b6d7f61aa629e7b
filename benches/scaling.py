#!/usr/bin/env python3
"""How `build`, `import`, `lsi` and `lda` scale from one worker to two, and what the dispatcher costs.

    . jobscripts/env.sh
    benches/scaling.py DOCS.txt         # DOCS.txt: one document a line

Each worker has one thread; the dispatcher has no core of its own on a machine of two. Compared are the totals of the accounting
tables, which leave the start of MPI out: it takes as long for any number of ranks, and a short run cannot scale beyond it. `build`
also runs on the text several times over. One worker and two take turns, and the least time of each counts: what else a
machine does, or its host, can only add to it. Beside it stands the ceiling, what two runs of one rank that know nothing of each
other get done at once: two workers cannot do better where cores share caches and memory. Exit status 1 when a bar does not hold.
"""
import argparse
import shutil
import subprocess
import time
from pathlib import Path

from harness import Bars, corpuscle, dispatcher_cpu, keep, least, made, median, on_one_core, weighted_corpus

HERE = Path(__file__).resolve().parent
# The phase in which the workers work and the dispatcher waits; in others it reads or writes files.
PHASES = {"build": "count", "import": None, "lsi": "krylov", "lda": "train"}
BARS = {"build": 1.7, "import": 1.8, "lsi": 1.7, "lda": 1.8}


def repeat(text, times, target):
    with open(target, "wb") as out:
        for _ in range(times):
            with open(text, "rb") as lines:
                shutil.copyfileobj(lines, out, 1 << 24)


def side_by_side(arguments, output, count):
    """Seconds of so many runs of one rank at once."""
    command = [shutil.which("corpuscle"), *map(str, arguments), "--threads", "1", "-q", "-o"]
    start = time.perf_counter()
    runs = [subprocess.Popen([*command, f"{output}.{number}"], stdout=subprocess.DEVNULL) for number in range(count)]
    failed = [run.wait() for run in runs]
    seconds = time.perf_counter() - start
    for number in range(count):
        for path in (Path(f"{output}.{number}"), Path(f"{output}.{number}.run.json")):
            path.unlink(missing_ok=True)
    if any(failed):
        raise SystemExit(f"benchmark: {' '.join(command)} ended with {failed}")
    return seconds


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("-k", type=int, default=200, help="singular triplets (default %(default)s)")
    options.add_argument("--topics", type=int, default=100, help="topics of LDA (default %(default)s)")
    options.add_argument("--repeat", type=int, default=5, metavar="N", help="runs of each (default %(default)s)")
    options.add_argument("--times", type=int, default=4, metavar="N", help="copies of the text in a longer one (default %(default)s; 1: none)")
    options.add_argument("--only", choices=PHASES, help="only this command")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora are kept (default: target/bench)")
    given = options.parse_args()

    stem, weighted = weighted_corpus(given.work, given.docs)
    corpus, matrix = Path(f"{stem}.corpus.h5"), Path(f"{stem}.corpus.mm")
    made(matrix, lambda: on_one_core("export", corpus, "--format", "mm", output=matrix))
    commands = {
        "build": (("build", given.docs), f"{stem}.scaling.corpus.h5"),
        "import": (("import", matrix), f"{stem}.scaling.corpus.h5"),
        "lsi": (("lsi", weighted, "-k", given.k), f"{stem}.scaling.lsi.h5"),
        "lda": (("lda", corpus, "-k", given.topics), f"{stem}.scaling.lda.h5"),
    }
    if given.times > 1:
        # Lines of the same words, but the corpus is that of a text of this length: documents have numbers for names.
        longer = made(f"{stem}.times{given.times}.txt", lambda: repeat(given.docs, given.times, f"{stem}.times{given.times}.txt"))
        commands[f"build of {given.times} copies"] = (("build", longer), f"{stem}.scaling.corpus.h5")
    if given.only:
        commands = {name: command for name, command in commands.items() if name.split()[0] == given.only}
    bars, kept = Bars(), {}
    for name, (arguments, output) in commands.items():
        runs, alone = {1: [], 2: []}, {1: [], 2: []}
        for _ in range(given.repeat):
            for count in (1, 2):
                runs[count].append(corpuscle(count, *arguments, output=output))
                alone[count].append(side_by_side(arguments, output, count))
        kept[name] = {"workers": runs, "side_by_side": alone}
        one, two = (least(taken) for taken in runs.values())
        print(f"{name}: one worker {one:.2f} s, two {two:.2f} s with the start of MPI (least of {given.repeat})")
        inner = [least(taken, lambda run: run["totals"]["seconds"]) for taken in runs.values()]
        print(f"{name}: by the accounting tables {inner[0]:.2f} s and {inner[1]:.2f} s")
        print(f"{name}: ceiling, two runs at once: {2 * min(alone[1]) / min(alone[2]):.2f} x one")
        bars.at_least(f"{name}: two workers over one", inner[0] / inner[1], BARS[name.split()[0]])
        if phase := PHASES[name.split()[0]]:
            cpu = median(runs[2], lambda run: dispatcher_cpu(run, phase))
            bars.at_most(f"{name}: dispatcher CPU, per cent of a core", cpu, 5)
    keep("scaling", {"k": given.k, "topics": given.topics, "runs": kept, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
