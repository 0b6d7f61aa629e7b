#!/usr/bin/env python3
"""Kills workers of real jobs at random moments and compares what is left.

    . jobscripts/env.sh
    benches/kills.py [--kills 50] [--ranks 4] [--seed 1] [--stop] [--documents 20000] [--program FILE] > kills.csv
    benches/kills.py --hosts [--ranks 3] > kills.csv   # root only: a rank on each of as many hosts of tests/cluster

Each job runs once undisturbed. Then it runs again and again; each time one worker or several get a SIGKILL (or, with
--stop, a SIGSTOP) at a moment drawn from the whole time between the first line of the log and the end, and the SHA-256
of the result and the exit status are compared. A line of CSV for every run: which command, who was killed and when, the
seconds of the undisturbed and of the disturbed run, after how many seconds the log told of the loss, whether the bytes are the
same. It goes on until so many runs were struck: some end before their moment comes. The exit status is 1 if any differ.
"""

import argparse
import hashlib
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "cluster"))
import bed  # noqa: E402

READY = "the job outlives its workers"


def rank_of(pid):
    """Number of a process in its job, or None where it is no rank or gone."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    for variable in environment:
        if variable.startswith((b"OMPI_COMM_WORLD_RANK=", b"PMIX_RANK=")):
            return int(variable.split(b"=")[1])
    return None


def everywhere():
    """Ranks and processes of all living workers of a bed of hosts, where no others run."""
    ranks = {int(pid): rank_of(pid) for pid in os.listdir("/proc") if pid.isdigit() and name_of(pid) == "corpuscle"}
    return {rank: pid for pid, rank in ranks.items() if rank}


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def workers(launcher):
    """Ranks and processes of the living workers below a launcher; on a bed of hosts their parents are daemons."""
    if bed.INSIDE in os.environ:
        return everywhere()
    below, found = [launcher], {}
    while below:
        children = []
        for pid in below:
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    children += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except OSError:
                pass
        for pid in children:
            rank = rank_of(pid)
            if rank is not None and rank > 0:
                found[rank] = pid
        below = children
    return found


class Job:
    """A run whose log can be watched while it lasts."""

    def __init__(self, launcher, arguments, folder):
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                launcher + arguments, stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL
            )
        self.begin = time.monotonic()

    def ready(self):
        while READY not in self.log.read_text(errors="replace"):
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        return True

    def lost(self):
        return len(re.findall(r"worker \d+ on \S+ was lost", self.log.read_text(errors="replace")))

    def end(self, seconds=120):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            left = workers(self.process.pid)
            self.process.terminate()
            self.process.wait(20)
            print(f"hangs; living workers: {left}\n{self.log.read_text(errors='replace')}", file=sys.stderr)
            code = "hang"
        return code, time.monotonic() - self.begin


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "none"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="runs that are struck")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=20000)
    parser.add_argument("--most", type=int, default=1, help="workers killed in one run, at most")
    parser.add_argument("--stop", action="store_true", help="stop workers instead of killing them")
    parser.add_argument("--program", default="corpuscle")
    parser.add_argument("--only", help="these commands, separated by commas")
    parser.add_argument("--hosts", action="store_true", help="each rank on a host of its own")
    parser.add_argument("--options", default="", help="for the program, such as --scatter")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    launch = shlex.split(os.environ["CORPUSCLE_MPIRUN"]) + shlex.split(os.environ["CORPUSCLE_MPIRUN_RECOVERY"])
    launch += ["-n", str(options.ranks)]
    if options.hosts:
        bed.enter()
        options.program = shutil.which(options.program)
        shared = Path(tempfile.gettempdir()) / "corpuscle-kills"
        shared.mkdir(exist_ok=True)
        tempfile.tempdir = str(shared)
        cluster = bed.Bed(options.ranks, shared=[shared, Path(options.program).parent])
        # The launcher runs on the login host; --oversubscribe would put all ranks on the first node.
        slurm = ["env", f"SLURM_CONF={bed.STATE}/slurm.conf", "salloc", "-Q", f"--nodes={options.ranks}", "--ntasks-per-node=1"]
        launch = cluster.hosts["login"].command(*slurm, *(word for word in launch if word != "--oversubscribe"))
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        program = [options.program, "--worker-timeout", "2" if options.stop else "30", *shlex.split(options.options)]

        def file(what):
            return str(folder / what)

        corpus = ["--documents", str(options.documents), "--terms", "20000", "--mean-length", "100"]
        prepare = [
            ["generate", *corpus, "-o", file("counts.h5")],
            ["tfidf", file("counts.h5"), "-o", file("weights.h5")],
            ["export", file("counts.h5"), "--format", "mm", "-o", file("counts.mm")],
            ["lsi", file("weights.h5"), "-k", "50", "-o", file("lsi.h5")],
            ["transform", file("lsi.h5"), file("weights.h5"), "-o", file("vectors.h5")],
            ["index", file("vectors.h5"), "-o", file("index.h5")],
        ]
        for arguments in prepare:
            done = subprocess.run([options.program, "-q", *arguments], stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                sys.exit(f"{arguments} failed")
        letters = "abcdefghijklmno"
        words = ["".join(letters[n // 15**place % 15] for place in range(3)) for n in range(3000)]
        with open(folder / "text.txt", "w") as text:
            for _ in range(options.documents):
                text.write(" ".join(words[int(3000 * chance.random() ** 3)] for _ in range(100)) + "\n")
        out = file("out")
        jobs = {
            "generate": ["generate", *corpus, "-o", out],
            "build": ["build", file("text.txt"), "-o", out],
            "import": ["import", file("counts.mm"), "--format", "mm", "-o", out],
            "export": ["export", file("counts.h5"), "--format", "mm", "-o", out],
            "tfidf": ["tfidf", file("counts.h5"), "-o", out],
            "split": ["split", file("counts.h5"), "--test", "0.1", "--train-out", out, "--test-out", file("out-test")],
            "lsi": ["lsi", file("weights.h5"), "-k", "50", "-o", out],
            "one-pass": ["lsi", file("weights.h5"), "-k", "50", "--one-pass", "--chunk-documents", "2000", "-o", out],
            "transform": ["transform", file("lsi.h5"), file("weights.h5"), "-o", out],
            "index": ["index", file("vectors.h5"), "-o", out],
            "query": ["query", file("index.h5"), file("vectors.h5"), "--top", "10", "-o", out],
        }
        if options.only:
            jobs = {name: jobs[name] for name in options.only.split(",")}
        undisturbed, runs, struck, bad = {}, 0, 0, 0
        print("run,command,ranks,killed,after_s,alone_s,seconds,noticed,noticed_s,status,same")
        for name, arguments in jobs.items():
            Path(out).unlink(missing_ok=True)
            job = Job(launch, program + arguments, folder)
            job.ready()
            begin = time.monotonic() - job.begin
            code, seconds = job.end()
            if code != 0:
                sys.exit(f"{name}: status {code}\n{job.log.read_text(errors='replace')}")
            undisturbed[name] = (digest(Path(out)), begin, seconds)
        while struck < options.kills:
            name = list(jobs)[runs % len(jobs)]
            expected, begin, alone = undisturbed[name]
            Path(out).unlink(missing_ok=True)
            job = Job(launch, program + jobs[name], folder)
            killed, after = [], chance.uniform(0, 1.05 * (alone - begin))
            count = chance.randint(1, min(options.most, options.ranks - 2))
            if job.ready():
                time.sleep(after)
                living = workers(job.process.pid)
                for rank in chance.sample(sorted(living), min(count, len(living))):
                    try:
                        os.kill(living[rank], signal.SIGSTOP if options.stop else signal.SIGKILL)
                        killed.append(rank)
                    except ProcessLookupError:
                        pass
            moment, noticed_after = time.monotonic(), ""
            while killed and job.process.poll() is None and not noticed_after and time.monotonic() < moment + 10:
                if job.lost() >= len(killed):
                    noticed_after = f"{time.monotonic() - moment:.3f}"
                time.sleep(0.001)
            code, seconds = job.end()
            same = digest(Path(out)) == expected
            log = job.log.read_text(errors="replace")
            noticed = job.lost()
            if code != 0 or not same:
                bad += 1
                print(log, file=sys.stderr)
            ranks = "+".join(map(str, killed)) or "none"
            print(
                f"{runs},{name},{options.ranks},{ranks},{after:.3f},{alone:.3f},{seconds:.3f},{noticed},"
                f"{noticed_after},{code},{same}",
                flush=True,
            )
            runs, struck = runs + 1, struck + bool(killed)
        print(f"{runs - bad} of {runs} runs identical and successful, {struck} of them struck", file=sys.stderr)
        sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
