"""What the benchmarks share: running corpuscle under MPI, medians, bars, and results kept raw by date and machine.

Standard library only. The environment comes from `. jobscripts/env.sh`.
"""
import datetime
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def corpuscle(workers, *arguments, output):
    """Runs `corpuscle ARGUMENTS -o OUTPUT` on a dispatcher and `workers` workers of one thread each.

    Returns the seconds of the whole command, start of MPI included, its CPU seconds on all ranks, and the totals of its
    OUTPUT.run.json.
    """
    launcher = os.environ.get("CORPUSCLE_MPIRUN")
    if not launcher or not shutil.which("corpuscle"):
        sys.exit("benchmark: first `. jobscripts/env.sh` and `cargo build --release`")
    command = [*launcher.split(), "-n", str(1 + workers), shutil.which("corpuscle"), *map(str, arguments)]
    command += ["--threads", "1", "-q", "-o", str(output)]
    # A run that failed must not be read off the result of an earlier one.
    for path in (Path(output), Path(f"{output}.run.json")):
        path.unlink(missing_ok=True)
    start, used = time.perf_counter(), _cpu_of_children()
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds, used = time.perf_counter() - start, _cpu_of_children() - used
    if run.returncode or not Path(output).exists():
        sys.exit(f"benchmark: {' '.join(command)} ended with {run.returncode}:\n{run.stdout}")
    totals = json.loads(Path(f"{output}.run.json").read_text())["totals"]
    return {"seconds": seconds, "cpu_seconds": used, "totals": totals}


def _cpu_of_children():
    """CPU seconds of all processes that have ended below this one: what a busy machine changes less than seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def on_one_core(*arguments, output):
    """Runs `corpuscle ARGUMENTS -o OUTPUT` as one rank bound to one core: seconds and CPU seconds of the whole command."""
    command = [shutil.which("corpuscle") or sys.exit("benchmark: first `. jobscripts/env.sh` and `cargo build --release`")]
    command += [*map(str, arguments), "--threads", "1", "-q", "-o", str(output)]
    Path(output).unlink(missing_ok=True)
    start = time.perf_counter()
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=_bind)
    _, status, used = os.wait4(run.pid, 0)
    seconds = time.perf_counter() - start
    if status or not Path(output).exists():
        sys.exit(f"benchmark: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime}


def _bind():
    """Binds this process to the last of its cores."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def peer(python, script, *arguments, core=False, processes=1):
    """Runs a peer's script of this folder with two threads (one a process if it starts two), or bound to one core, and returns the JSON
    object it prints, with the CPU seconds of the whole script unless it tells its own."""
    threads = "1" if core else str(2 // processes)
    environment = dict(os.environ, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    # Settings that pin OpenBLAS to the kernels of an older core would slow the peer down.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        environment.pop(name, None)
    command = [python, str(RESULTS.parent / script), *map(str, arguments)]
    used = _cpu_of_children()
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True, preexec_fn=_bind if core else None)
    return {"cpu_seconds": _cpu_of_children() - used, **json.loads(run.stdout)}


def weighted_corpus(work, docs):
    """Builds and weights a corpus unless that was done before: the stem of all its files, and the weighted one."""
    stem = work / docs.resolve().parent.name / docs.stem
    corpus = made(f"{stem}.corpus.h5", lambda: corpuscle(2, "build", docs, output=f"{stem}.corpus.h5"))
    return stem, made(f"{stem}.tfidf.h5", lambda: corpuscle(2, "tfidf", corpus, output=f"{stem}.tfidf.h5"))


def exact_singular_values(python, stem, weighted, k):
    """The k largest singular values by scipy at tolerance 1e-10, kept beside the corpus."""
    reference = Path(f"{stem}.reference-k{k}.json")
    made(reference, lambda: reference.write_text(json.dumps(peer(python, "arpack.py", "reference", weighted, k))))
    return json.loads(reference.read_text())["singular_values"]


def largest_error(values, exact):
    return max(abs(value - true) / true for value, true in zip(values, exact, strict=True))


def made(path, make):
    """Calls `make` unless `path` exists, and returns it: corpora and references are kept between runs."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        make()
    return path


def median(runs, key=lambda run: run["seconds"]):
    return statistics.median(map(key, runs))


def least(runs, key=lambda run: run["seconds"]):
    """The least of several times: nothing makes a run faster than it is."""
    return min(map(key, runs))


class Bars:
    """Lines of a report that either hold or do not."""

    def __init__(self):
        self.lines = []

    def check(self, what, value, holds, bar):
        self.lines.append({"what": what, "value": value, "bar": bar, "holds": bool(holds)})
        print(f"{'holds' if holds else 'FAILS'}  {what}: {value:.4g} (wanted: {bar})")

    def at_least(self, what, value, bar):
        self.check(what, value, value >= bar, f">= {bar:g}")

    def at_most(self, what, value, bar):
        self.check(what, value, value <= bar, f"<= {bar:g}")

    def finish(self):
        """Exit status of the benchmark: 1 when a bar does not hold."""
        sys.exit(0 if all(line["holds"] for line in self.lines) else 1)


def machine():
    """The processor and how many of its cores this process may use, as a file name."""
    with open("/proc/cpuinfo") as lines:
        model = next((line.partition(":")[2] for line in lines if line.startswith("model name")), "unknown processor")
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    return f"{slug}-{len(os.sched_getaffinity(0))}-cores"


def keep(name, record):
    """Writes a benchmark's raw figures to results/<date>-<machine>/<name>-<time>.json."""
    now = datetime.datetime.now(datetime.timezone.utc)
    folder = RESULTS / f"{now:%Y-%m-%d}-{machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    record = {"benchmark": name, "time": f"{now:%Y-%m-%dT%H:%M:%SZ}", "load_average": os.getloadavg()[0], **record}
    path = folder / f"{name}-{now:%H%M%S}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"raw figures: {path.relative_to(RESULTS.parent.parent)}")


def dispatcher_cpu(run, phase):
    """CPU of rank 0 in per cent of a core during the phase in which the workers work."""
    return next(entry["dispatcher_cpu_percent"] for entry in run["totals"]["phases"] if entry["mean"]["name"] == phase)
