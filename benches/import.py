#!/usr/bin/env python3
"""How fast `import` reads every line format, per core, and MatrixMarket with one worker and two.

    . jobscripts/env.sh
    benches/import.py CORPUS.h5         # counts

The corpus is exported in each format, uncompressed, and imported again. On one core: one rank bound to it, the whole command to the
renamed and synced file, by wall time and by CPU time. With workers: totals of the accounting tables, which leave the start of MPI
out; runs of one worker and two take turns. Exit status 1 when a bar does not hold.
"""
import argparse
from pathlib import Path

from harness import Bars, corpuscle, keep, made, median, on_one_core

HERE = Path(__file__).resolve().parent
FORMATS = ("mm", "svmlight", "blei", "uci", "mallet", "low")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("corpus", type=Path, help="a corpus of counts")
    options.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="(default: all)")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each (default %(default)s)")
    options.add_argument("--speed", type=float, default=100.0, metavar="MB/S", help="bar for one core (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where the results go (default: target/bench)")
    given = options.parse_args()

    given.work.mkdir(parents=True, exist_ok=True)
    output = given.work / "import.h5"
    files = {name: given.work / f"import-{given.corpus.stem}.{name}" for name in given.formats}
    for name, path in files.items():
        made(path, lambda: on_one_core("export", given.corpus, "--format", name, output=path))
    megabytes = {name: path.stat().st_size / 1e6 for name, path in files.items()}
    alone, workers = {name: [] for name in files}, {1: [], 2: []}
    for _ in range(given.repeat):
        for name, path in files.items():
            alone[name].append(on_one_core("import", path, "--format", name, output=output))
        for count, taken in workers.items() if "mm" in files else ():
            taken.append(corpuscle(count, "import", files["mm"], output=output))

    bars = Bars()
    for name, taken in alone.items():
        by_cpu = megabytes[name] / median(taken, lambda run: run["cpu_seconds"])
        print(f"{name}: {megabytes[name]:.0f} MB, {megabytes[name] / median(taken):.0f} MB/s by wall time")
        bars.at_least(f"{name} on one core, MB/s by CPU time", by_cpu, given.speed)
    if "mm" in files:
        one, two = (median(taken, lambda run: run["totals"]["seconds"]) for taken in workers.values())
        print(f"mm with two workers: {megabytes['mm'] / two:.0f} MB/s, {one / two:.2f} x one")
    keep("import", {"megabytes": megabytes, "alone": alone, "workers": workers, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
