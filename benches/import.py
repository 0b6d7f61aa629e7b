#!/usr/bin/env python3
"""How fast `import` reads MatrixMarket, per core and with two workers.

    . jobscripts/env.sh
    benches/import.py MATRIX.mm         # plain, rows are documents

On one core: one rank bound to it, the whole command to the renamed and synced file. With workers: totals of the accounting tables,
which leave the start of MPI out; runs of one worker and two take turns. Exit status 1 when a bar does not hold.
"""
import argparse
from pathlib import Path

from harness import Bars, corpuscle, keep, median, on_one_core

HERE = Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("matrix", type=Path, help="MatrixMarket file, not compressed")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each (default %(default)s)")
    options.add_argument("--speed", type=float, default=150.0, metavar="MB/S", help="bar for one core (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where the results go (default: target/bench)")
    given = options.parse_args()

    given.work.mkdir(parents=True, exist_ok=True)
    output, megabytes = given.work / "import.h5", given.matrix.stat().st_size / 1e6
    alone, workers = [], {1: [], 2: []}
    for _ in range(given.repeat):
        alone.append(on_one_core("import", given.matrix, output=output))
        for count, taken in workers.items():
            taken.append(corpuscle(count, "import", given.matrix, output=output))
    total = lambda run: run["totals"]["seconds"]
    one, two = (median(taken, total) for taken in workers.values())

    bars = Bars()
    bars.at_least("one rank on one core, MB/s by wall time", megabytes / median(alone), given.speed)
    bars.at_least("one rank on one core, MB/s by CPU time", megabytes / median(alone, lambda run: run["cpu_seconds"]), given.speed)
    bars.at_least("one worker, MB/s by wall time", megabytes / one, given.speed)
    print(f"two workers: {megabytes / two:.0f} MB/s, {one / two:.2f} x one")
    keep("import", {"megabytes": megabytes, "alone": alone, "workers": workers, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
