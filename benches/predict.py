#!/usr/bin/env python3
"""The time of an LSI run on other numbers of workers, from one that was measured and the speed of a network.

    corpuscle doctor                        # on the network in question: latency and bandwidth
    benches/predict.py LSI.h5.run.json --terms 100000 --alpha 30e-6 --beta 1.2e9

The formula is that of "Scaling, on paper" in ARCHITECTURE.md: the floating-point operations of the iteration and of the
verification by the measured speed of the kernels, the bytes that a worker takes in by the bandwidth, the messages one after
the other by the latency. Each worker reads its part of the corpus; what the run took for writing is left as it is.
"""
import argparse
import json
from pathlib import Path

LANES = 16
STRIP = 64


def padded(columns):
    return -(-columns // LANES) * LANES


def traffic(terms, k, block, rounds, workers):
    """Bytes that a worker takes in, and messages that follow each other, during the iteration and the verification."""
    if workers == 1:
        return 0, 0
    width = padded(block)
    columns = rounds * width + k // STRIP * STRIP + padded(k % STRIP)
    sums = sum((min(j, 2) * block + 2 + j * block + 3 * width) * width for j in range(rounds + 1))
    exchanged = 12 * terms * columns * (workers - 1) / workers
    # Sums are added up by stretches that are then gathered. What is in flight all at once follows nothing.
    small = 2 * 8 * sums * (workers - 1) / workers
    return exchanged + small, (6 if workers < 4 else 7) * rounds + 2 * -(-k // STRIP)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path, help="what `corpuscle lsi` left beside its model")
    options.add_argument("--terms", type=int, required=True, help="terms of the corpus")
    options.add_argument("--alpha", type=float, required=True, help="seconds of a message")
    options.add_argument("--beta", type=float, required=True, help="bytes a second into a worker")
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="default 1 2 4 8 16")
    given = options.parse_args()
    run = json.loads(given.run.read_text())
    phases = {phase["mean"]["name"]: phase for phase in run["totals"]["phases"]}
    measured = len(run["ranks"]) - 1 or 1
    work = measured * sum(phases[name]["mean"]["compute_seconds"] for name in ("krylov", "verify"))
    counters = run["totals"]["counters"]
    flops = counters["flops"] + counters["dense_flops"]
    reading = measured * phases["read"]["seconds"]
    writing = phases["write"]["seconds"] + phases["other"]["seconds"]
    k, block, rounds = run["result"]["topics"], run["parameters"]["block"], run["result"]["rounds"]
    print(f"{flops:.3g} operations at {flops / work / 1e9:.1f} GF/s a worker; measured: {measured} workers, {run['totals']['seconds']:.1f} s")
    print("workers  compute s  bytes s  messages s  I/O s   total s  speed-up  efficiency")
    alone = work + reading + writing
    for workers in given.workers:
        taken, messages = traffic(given.terms, k, block, rounds, workers)
        parts = work / workers, taken / given.beta, messages * given.alpha, reading / workers + writing
        total = sum(parts)
        print(f"{workers:7} {parts[0]:10.2f} {parts[1]:8.2f} {parts[2]:11.3f} {parts[3]:6.2f} {total:9.2f} {alone / total:9.2f} {alone / total / workers:11.2f}")


if __name__ == "__main__":
    main()
