#!/usr/bin/env python3
"""LSI of a corpus of the size of the English Wikipedia: 3.2 M documents, 100,000 terms, about 0.5 G nonzeros, k = 400.

    . jobscripts/env.sh
    benches/wikipedia_sized.py --work FOLDER            # FOLDER: 9 GB of disk for a while

gensim's documentation gives 5 h 14 m for this problem on one machine and 1 h 41 m on four workers. Here the corpus is made by
`corpuscle generate`, weighted by `corpuscle tfidf` and decomposed on one dispatcher and two workers of one thread each.
Checked: time and memory of the decomposition, and that what it counted (products, passes, flops, bytes between workers) is
exactly what the formulas of `src/lsi` say. Exit status 1 when a bar does not hold.
"""
import argparse
import json
from pathlib import Path

from harness import Bars, corpuscle, keep, made

HERE = Path(__file__).resolve().parent


def formulas(documents, terms, nonzeros, k, block, rounds, workers, again):
    """What a decomposition without restart counts, over all workers; `again` are columns of third projections."""
    def padded(columns):
        return -(-columns // 16) * 16

    width, strips = padded(block), -(-k // 64)
    vectors = rounds * width + k // 64 * 64 + padded(k % 64)
    near = [min(round, 2) * block for round in range(rounds + 1)]
    passes = 1 + rounds + strips
    dense = 8 * terms * block**2 + 2 * terms * rounds * block * k
    dense += sum(4 * terms * block * (near[round] + (round + 2) * block) for round in range(1, rounds + 1))
    dense += 4 * terms * block * again
    sums = again * width + sum((near[round] + 2 + round * block + 3 * width) * width for round in range(rounds + 1))
    return {
        "products": rounds * block + k,
        "passes": passes,
        "documents": passes * documents,
        "flops": 4 * nonzeros * (rounds * block + k),
        "dense_flops": dense,
        "exchanged_bytes": 12 * terms * vectors * (workers - 1) + 8 * sums * workers if workers > 1 else 0,
    }


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=3_200_000, help="(default %(default)s)")
    options.add_argument("--terms", type=int, default=100_000, help="(default %(default)s)")
    options.add_argument("--mean-length", type=float, default=197, help="tokens of a document (default %(default)s)")
    options.add_argument("-k", type=int, default=400, help="singular triplets (default %(default)s)")
    options.add_argument("--memory", default=None, help="as of corpuscle lsi")
    options.add_argument("--minutes", type=float, default=6, help="bar for the decomposition (default %(default)s)")
    options.add_argument("--gibibytes", type=float, default=24, help="bar for all ranks together (default %(default)s)")
    options.add_argument("--prepare", action="store_true", help="make the corpus and stop")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where the corpus is kept (default: target/bench)")
    given = options.parse_args()

    stem = given.work / f"sized-{given.documents}-{given.terms}-{given.mean_length:g}"
    counts, weighted = Path(f"{stem}.h5"), Path(f"{stem}.tfidf.h5")
    if not weighted.exists():
        made(counts, lambda: corpuscle(2, "generate", "--documents", given.documents, "--terms", given.terms,
                                       "--mean-length", given.mean_length, output=counts))
        made(weighted, lambda: corpuscle(2, "tfidf", counts, output=weighted))
        counts.unlink()
    if given.prepare:
        return

    output = Path(f"{stem}.lsi.h5")
    limit = ("--memory", given.memory) if given.memory else ()
    run = corpuscle(2, "lsi", weighted, "-k", given.k, *limit, output=output)
    record = json.loads(Path(f"{output}.run.json").read_text())
    described = json.loads(Path(f"{weighted}.run.json").read_text())["result"]
    counters, parameters, result = run["totals"]["counters"], record["parameters"], record["result"]
    for phase in run["totals"]["phases"]:
        mean = phase["mean"]
        print(f"{mean['name']:8} {phase['seconds']:8.1f} s; a rank on average: compute {mean['compute_seconds']:.1f}, "
              f"waiting {mean['waiting_seconds']:.1f}, I/O {mean['io_seconds']:.1f}")

    bars = Bars()
    expected = formulas(given.documents, given.terms, described["nonzeros"], given.k, parameters["block"],
                        result["rounds"], 2, counters["projected_again"])
    for name, value in expected.items():
        bars.check(f"{name} as by the formula", counters[name], counters[name] == value, f"{value}")
    peaks = [rank["peak_memory_bytes"] for rank in record["ranks"]]
    bars.at_most("peak memory of all ranks, GiB", sum(peaks) / 2**30, given.gibibytes)
    bars.at_most("whole command, minutes", run["seconds"] / 60, given.minutes)
    speed = (counters["flops"] + counters["dense_flops"]) / run["totals"]["seconds"] / 1e9
    print(f"{result['rounds']} rounds of {parameters['block']}, largest residual {result['largest_residual']:.1e}, "
          f"{speed:.1f} GF/s over all, peaks {', '.join(f'{peak / 2**30:.2f}' for peak in peaks)} GiB")
    keep("wikipedia_sized", {"k": given.k, "nonzeros": described["nonzeros"], "run": run, "expected": expected,
                             "result": result, "peaks": peaks, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
