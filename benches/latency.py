#!/usr/bin/env python3
"""What distance costs: LSI on a dispatcher and two workers on three hosts, at several delays between them.

    . jobscripts/env.sh
    benches/latency.py TFIDF.h5 --delays 0 10 50           # one way, in milliseconds
    benches/latency.py TFIDF.h5 --delays 0 10 50 --rate 100 # and what a host sends leaves it at 100 Mbit/s

Root only: the hosts are those of tests/cluster (namespaces, joined by a process that delays what it carries). The corpus
is scattered, so every document travels once. TCP keeps its pace over pauses, as `corpuscle doctor` advises for such networks. Take a corpus on which LSI needs about a minute (`corpuscle generate
--documents 600000`). Times are those of the accounting, without the start of MPI. Exit status 1 when a bar does not hold:
10 ms cost at most 10 per cent over 0 ms, 50 ms at most 35.
"""
import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from harness import Bars, keep

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "cluster"))
import bed  # noqa: E402

EAGER = 1 << 24
BARS = {10: 0.10, 50: 0.35}


def measure(cluster, program, corpus, options, delay, rate):
    """One run: its totals, its ranks, and the bytes on the wire."""
    cluster.tell_wire(f"delay {delay / 1000}")
    cluster.tell_wire(f"rate {rate * 1e6}")
    frames, carried = cluster.tell_wire("count")
    output = corpus.with_suffix(".latency.h5")
    for path in (output, Path(f"{output}.run.json")):
        path.unlink(missing_ok=True)
    launch = ["mpirun.openmpi" if shutil.which("mpirun.openmpi") else "mpirun", "--bind-to", "none", "--map-by", "node", "-n", "3"]
    # As jobscripts/job.sh has it: messages go out whole.
    launch += ["--mca", "mpi_yield_when_idle", "1", "--mca", "btl_tcp_eager_limit", str(EAGER), "--mca", "btl_tcp_rndv_eager_limit", str(EAGER)]
    launch += [program, "lsi", corpus, "-o", output, "-q", "--scatter", "--threads", "1", *options]
    script = bed.STATE / "latency.sbatch"
    script.write_text("#!/bin/sh\n" + " ".join(map(str, launch)) + "\n")
    cluster.slurm("sbatch", "--wait", "--nodes=3", "--ntasks-per-node=1", f"--output={output}.out", str(script))
    run = json.loads(Path(f"{output}.run.json").read_text())
    after = cluster.tell_wire("count")
    output.unlink()
    return {"delay_ms": delay, "rate_mbit": rate, "totals": run["totals"], "ranks": run["ranks"], "parameters": run["parameters"],
            "wire_frames": after[0] - frames, "wire_bytes": after[1] - carried}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("corpus", type=Path, help="a weighted corpus")
    options.add_argument("-k", default="200", help="singular triplets (default %(default)s)")
    options.add_argument("--delays", type=float, nargs="+", default=[0, 10, 50], metavar="MS", help="one way (default 0 10 50)")
    options.add_argument("--rate", type=float, default=0, metavar="MBIT", help="of each host; 0: as fast as it goes")
    options.add_argument("--slow-start", action="store_true", help="leave the kernel's slow start after pauses on, which doctor advises against")
    options.add_argument("--window", type=int, default=64, metavar="MIB", help="most that TCP may have under way (default %(default)s)")
    options.add_argument("--lsi", nargs=argparse.REMAINDER, default=[], help="further options of corpuscle lsi")
    given = options.parse_args()
    program = shutil.which("corpuscle")
    if os.geteuid() or not program:
        sys.exit("benchmark: as root, after `. jobscripts/env.sh` and `cargo build --release`")
    bed.enter()
    corpus = given.corpus.resolve()
    cluster = bed.Bed(3, slow=True, shared=[corpus.parent, Path(program).parent])
    for host in cluster.hosts.values():
        host.inside("sh", "-c", f"echo {int(given.slow_start)} > /proc/sys/net/ipv4/tcp_slow_start_after_idle")
        host.inside("sh", "-c", f"echo 4096 65536 {given.window << 20} > /proc/sys/net/ipv4/tcp_wmem; "
                    f"echo 4096 131072 {given.window << 20} > /proc/sys/net/ipv4/tcp_rmem")
    bars, runs = Bars(), []
    for delay in given.delays:
        run = measure(cluster, program, corpus, ["-k", given.k, *given.lsi], delay, given.rate)
        runs.append(run)
        totals = run["totals"]
        print(f"{delay:g} ms, {f'{given.rate:g} Mbit/s' if given.rate else 'no limit'}: {totals['seconds']:.2f} s, "
              f"{totals['counters']['rounds']} rounds, {run['wire_bytes'] / 1e6:.0f} MB in {run['wire_frames']} frames", flush=True)
        for phase in totals["phases"]:
            mean = phase["mean"]
            print(f"    {mean['name']:8} {phase['seconds']:8.2f} s; workers compute {mean['compute_seconds']:.2f}, "
                  f"wait {mean['waiting_seconds']:.2f}")
        if delay in BARS and runs[0]["delay_ms"] == 0:
            cost = totals["seconds"] / runs[0]["totals"]["seconds"] - 1
            bars.at_most(f"{delay:g} ms one way over 0 ms, at {given.rate:g} Mbit/s", cost, BARS[delay])
    keep("latency", {"corpus": corpus.name, "runs": runs, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
