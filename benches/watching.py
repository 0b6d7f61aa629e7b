#!/usr/bin/env python3
"""What watching a run costs: progress every second and a time line of every rank, against neither.

    . jobscripts/env.sh
    benches/watching.py DOCS.txt         # DOCS.txt: one document a line

LSI on one dispatcher and two workers of one thread each, with `--progress none` and with `--progress json --trace FILE`, in
turns. What is compared are CPU seconds of all processes of the command, launcher included, which a busy machine changes
less than time on the clock; both are kept. Exit status 1 when the bar does not hold.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from harness import Bars, keep, median, weighted_corpus

HERE = Path(__file__).resolve().parent


def run(weighted, k, output, *watching):
    """Seconds and CPU seconds of one command, and how many bytes it said on standard error."""
    said = Path(f"{output}.said")
    command = [*os.environ["CORPUSCLE_MPIRUN"].split(), "-n", "3", shutil.which("corpuscle"), "lsi", str(weighted), "-k", str(k),
               "--threads", "1", "-o", str(output), *map(str, watching)]
    start = time.perf_counter()
    with open(said, "wb") as stderr:
        child = subprocess.Popen(command, stderr=stderr)
        # The launcher has waited for its ranks: their use is part of its own.
        _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"benchmark: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}; see {said}")
    return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "said_bytes": said.stat().st_size}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("-k", type=int, default=200, help="singular triplets (default %(default)s)")
    options.add_argument("--repeat", type=int, default=7, metavar="N", help="runs of each (default %(default)s)")
    options.add_argument("--per-cent", type=float, default=1.0, metavar="X", help="bar for the cost (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora are kept (default: target/bench)")
    given = options.parse_args()

    stem, weighted = weighted_corpus(given.work, given.docs)
    output, trace = Path(f"{stem}.watching.lsi.h5"), Path(f"{stem}.watching.trace.json")
    plain, watched = [], []
    for _ in range(given.repeat):
        plain.append(run(weighted, given.k, output, "--progress", "none"))
        watched.append(run(weighted, given.k, output, "--progress", "json", "--trace", trace))
    spans = trace.read_text().count('"ph":"X"')
    for name, key in [("seconds", "seconds"), ("CPU seconds", "cpu_seconds")]:
        print(f"{name}, medians of {given.repeat}: {median(plain, lambda one: one[key]):.3f} plain, "
              f"{median(watched, lambda one: one[key]):.3f} watched ({spans} spans)")
    cost = median(watched, lambda one: one["cpu_seconds"]) / median(plain, lambda one: one["cpu_seconds"]) - 1
    bars = Bars()
    bars.at_least("spans in the trace", spans, 100)
    bars.at_most("cost of watching, per cent of CPU time", 100 * cost, given.per_cent)
    keep("watching", {"k": given.k, "plain": plain, "watched": watched, "spans": spans, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
