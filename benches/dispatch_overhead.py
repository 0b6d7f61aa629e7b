#!/usr/bin/env python3
"""What it costs to hand a task to a worker and to get its answer: 100,000 empty tasks through `farm`.

    . jobscripts/env.sh
    benches/dispatch_overhead.py

One dispatcher and two workers on this machine. The time is that of the whole farm on the dispatcher, from the first task handed out to the
last answer, and is divided by the number of tasks; MPI is started before. Exit status 1 when the bar does not hold.
"""
import argparse
import json
import os
import subprocess
from pathlib import Path

from harness import Bars, keep

ROOT = Path(__file__).resolve().parent.parent


def program():
    """Builds benches/dispatch.rs and returns where the program lies."""
    build = ["cargo", "build", "--release", "--bench", "dispatch", "--message-format", "json"]
    lines = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    made = [message for message in map(json.loads, lines) if message.get("target", {}).get("name") == "dispatch"]
    return next(message["executable"] for message in made if message.get("executable"))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tasks", type=int, default=100_000, help="(default %(default)s)")
    options.add_argument("--repeat", type=int, default=5, metavar="N", help="farms (default %(default)s)")
    options.add_argument("--bar", type=float, default=20.0, metavar="US", help="microseconds a task (default %(default)s)")
    options.add_argument("--program", help="the built benchmark [default: it is built]")
    given = options.parse_args()
    command = [*os.environ["CORPUSCLE_MPIRUN"].split(), "-n", "3", given.program or program(), str(given.tasks), str(given.repeat)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    microseconds = sorted(1e6 * float(line) / given.tasks for line in printed.split())
    bars = Bars()
    bars.at_most("microseconds a task, median", microseconds[len(microseconds) // 2], given.bar)
    keep("dispatch_overhead", {"tasks": given.tasks, "workers": 2, "microseconds_a_task": microseconds, "bars": bars.lines})
    bars.finish()


if __name__ == "__main__":
    main()
