#!/usr/bin/env python3
"""Kills whole jobs at random moments and lets them go on from their checkpoints, until so many have been killed.

    . jobscripts/env.sh
    benches/restarts.py DOCS.txt [--kills 50]      # DOCS.txt: one document a line
    benches/restarts.py DOCS.txt --cost --every 5  # what checkpoints cost instead

Every run is on another number of ranks than the one before it. A job that ended is compared with the bytes of a run that
was left alone, and begun anew. Exit status 1 when one differs or ends otherwise than it should.
"""
import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import Bars, corpuscle, keep, median, weighted_corpus

HERE = Path(__file__).resolve().parent


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def processes(word):
    """Processes that were started with `word` in an argument."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                    yield int(entry.name)
            except OSError:
                pass  # it has just ended


def kill_all(word):
    while found := list(processes(word)):
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def start(ranks, arguments, output, checkpoints, every):
    launcher = [*os.environ["CORPUSCLE_MPIRUN"].split(), "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, shutil.which("corpuscle"), *map(str, arguments), "--threads", "1", "-q", "-o", str(output)]
    command += ["--checkpoint", str(checkpoints), "--resume", "--checkpoint-every", str(every)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def restarts(given, stem, weighted, bars):
    dice = random.Random(given.seed)
    commands = {
        "build": ("build", given.docs),
        "tfidf": ("tfidf", f"{stem}.corpus.h5"),
        "lsi": ("lsi", weighted, "-k", given.k),
        "one-pass": ("lsi", weighted, "-k", given.k // 2, "--one-pass", "--chunk-documents", 5000),
    }
    kills, ended, wrong = [], {}, []
    for number, (name, arguments) in enumerate(commands.items()):
        output, checkpoints = Path(f"{stem}.restarts.h5"), Path(f"{stem}.checkpoints")
        shutil.rmtree(checkpoints, ignore_errors=True)
        alone = corpuscle(2, *arguments, output=output)
        expected, length = digest(output), alone["seconds"]
        share = given.kills // len(commands) + (number < given.kills % len(commands))
        done = 0
        while done < share:
            ranks = dice.choice([1, 2, 3, 5])
            job = start(ranks, arguments, output, checkpoints, given.every)
            moment = dice.uniform(0.0, length)
            try:
                job.wait(moment)
            except subprocess.TimeoutExpired:
                kill_all(str(checkpoints))
                job.communicate()
                done += 1
                kills.append({"command": name, "ranks": ranks, "after_seconds": moment})
                continue
            ended[name] = ended.get(name, 0) + 1
            if job.returncode or digest(output) != expected:
                wrong.append({"command": name, "code": job.returncode, "said": job.communicate()[1][-500:]})
        job = start(3, arguments, output, checkpoints, given.every)
        said = job.communicate()[1]
        ended[name] = ended.get(name, 0) + 1
        if job.returncode or digest(output) != expected:
            wrong.append({"command": name, "code": job.returncode, "said": said[-500:]})
        left = [path.name for path in output.parent.glob(".*.tmp")]
        if left:
            wrong.append({"command": name, "left": left})
        print(f"{name}: {share} kills, {ended[name]} runs to the end, {length:.1f} s when left alone")
    bars.at_least("kills of a whole job", len(kills), given.kills)
    bars.at_most("jobs that ended with other bytes or not well", len(wrong), 0)
    keep("restarts", {"seed": given.seed, "k": given.k, "every": given.every, "kills": kills, "ended": ended, "wrong": wrong,
                      "bars": bars.lines})


def cost(given, stem, weighted, bars):
    """Runs with and without checkpoints take turns, so that a busy machine slows both."""
    checkpoints = Path(f"{stem}.checkpoints")
    commands = {
        "lsi": ("lsi", weighted, "-k", given.k),
        "build": ("build", given.docs),
        "tfidf": ("tfidf", f"{stem}.corpus.h5"),
        "transform": ("transform", f"{stem}.cost-lda.h5", given.corpus or f"{stem}.corpus.h5"),
    }
    runs = {}
    if "transform" in given.only.split(","):
        corpuscle(2, "lda", given.corpus or f"{stem}.corpus.h5", "-k", given.k, "--passes", 1, output=f"{stem}.cost-lda.h5")
    for name, arguments in ((name, commands[name]) for name in given.only.split(",")):
        output, expected = Path(f"{stem}.cost.h5"), set()
        runs[name] = {"without": [], "with": []}
        for _ in range(given.repeat):
            for kind, taken in runs[name].items():
                more = ("--checkpoint", checkpoints, "--checkpoint-every", given.every) if kind == "with" else ()
                shutil.rmtree(checkpoints, ignore_errors=True)
                taken.append(corpuscle(2, *arguments, *more, output=output))
                expected.add(digest(output))
        without, saved = (median(taken) for taken in runs[name].values())
        print(f"{name}: {without:.2f} s without checkpoints, {saved:.2f} s with: {100 * (saved / without - 1):+.1f} %")
        bars.at_most(f"{name}: different results", len(expected), 1)
    # The clock of a busy machine is not good to 2 %. All ranks make the checkpoints of a fold, which is a phase of its own;
    # those of a map are the dispatcher's: the share of the time in which its processor did more than without.
    for name, taken in runs.items():
        if name == "lsi":
            spent = sum(entry["mean"]["seconds"] for run in taken["with"] for entry in run["totals"]["phases"]
                        if entry["mean"]["name"] == "checkpoint")
            share = 100 * spent / sum(run["seconds"] for run in taken["with"])
        else:
            without, saved = (sum(run["totals"]["dispatcher_cpu_percent"] for run in kind) for kind in taken.values())
            share = (saved - without) / given.repeat
        bars.at_most(f"{name}: time spent on checkpoints, per cent", share, 2)
    keep("checkpoint-cost", {"k": given.k, "every": given.every, "runs": runs, "bars": bars.lines})


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("docs", type=Path, help="text, one document a line")
    options.add_argument("-k", type=int, default=100, help="singular triplets (default %(default)s)")
    options.add_argument("--kills", type=int, default=50, help="jobs to kill (default %(default)s)")
    options.add_argument("--every", type=float, default=0.0, metavar="SECONDS",
                         help="--checkpoint-every of the runs (default %(default)s)")
    options.add_argument("--cost", action="store_true", help="measure what checkpoints cost")
    options.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each with --cost (default %(default)s)")
    options.add_argument("--only", default="lsi,build,tfidf", help="commands of --cost, `transform` of an LDA model among them (default %(default)s)")
    options.add_argument("--corpus", type=Path, metavar="H5", help="corpus of counts for `transform` (default: that of DOCS)")
    options.add_argument("--seed", type=int, default=1, help="of the random moments (default %(default)s)")
    options.add_argument("--work", type=Path, default=HERE.parent / "target" / "bench", metavar="DIR",
                         help="where corpora are kept (default: target/bench)")
    given = options.parse_args()
    stem, weighted = weighted_corpus(given.work, given.docs)
    bars = Bars()
    (cost if given.cost else restarts)(given, stem, weighted, bars)
    bars.finish()


if __name__ == "__main__":
    main()
