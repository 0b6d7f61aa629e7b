#!/usr/bin/env python3
"""The batch scripts on a real Slurm of four hosts (bed.py): what they leave is compared with a serial run, byte by byte.

    . jobscripts/env.sh
    python3 tests/cluster/run.py [NAME...]

Runs the tests whose names hold one of the NAMEs, or all. Ends with a line as cargo's tests do. Where there can be no test
bed, it says why and tests nothing; under continuous integration that is a failure.
"""
import csv
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

import bed

ROOT = bed.ROOT
WORK = ROOT / "target" / "cluster"
NODES = 3


class Cluster:
    """The bed, the folder the tests work in, and the program."""

    def __init__(self):
        self.program = shutil.which("corpuscle")
        if not self.program:
            sys.exit("cluster: first `. jobscripts/env.sh` and `cargo build --release`")
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        slow = os.access("/dev/net/tun", os.R_OK | os.W_OK)
        self.bed = bed.Bed(NODES, slow=slow, shared=[Path(self.program).parent])

    def serial(self, *words):
        """One rank, no launcher: what everything is compared with."""
        bed.run(self.program, *map(str, words), "--threads", "1", cwd=WORK)

    def submit(self, script, *words, options=(), **settings):
        """Submits a batch script of the project with arguments, and returns the number of the job."""
        environment = dict(os.environ, CORPUSCLE_START_TIMEOUT="60", **{key: str(value) for key, value in settings.items()})
        options = [f"--nodes={NODES}", "--ntasks-per-node=1", *options]
        command = ["sbatch", "--parsable", *options, str(ROOT / "jobscripts" / script), *map(str, words)]
        return self.bed.slurm(*command, environment=environment, cwd=WORK).split("\n")[-1]

    def job(self, number):
        """What Slurm knows of a job."""
        words = self.bed.slurm("scontrol", "-o", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def finish(self, number, seconds=60):
        """Waits until a job is over, which must be well."""
        bed.until(seconds, f"end of job {number}", lambda: self.check(number)["JobState"] == "COMPLETED")

    def check(self, number):
        """What Slurm knows of a job that must not have failed."""
        job = self.job(number)
        if job["JobState"] in ("FAILED", "CANCELLED", "TIMEOUT"):
            raise bed.Failure(f"job {number} is {job['JobState']}:\n{Path(job['StdOut']).read_text()}")
        return job

    def far(self, seconds):
        """How long a message travels between hosts from now on."""
        if self.bed.slow:
            self.bed.tell_wire(f"delay {seconds}")

    def last_node(self, number):
        """The last node of a running job: there the batch script does not run."""
        return self.bed.slurm("scontrol", "show", "hostnames", self.job(number)["NodeList"]).split()[-1]

    def revive(self, name):
        """Starts a node again, whatever has happened to it."""
        self.bed.revive(name)
        bed.until(40, "all nodes are idle", lambda: self.bed.state().count("idle") == NODES)

    def log(self, number):
        return Path(self.job(number)["StdOut"]).read_text()


def same(one, other):
    if (WORK / one).read_bytes() != (WORK / other).read_bytes():
        raise bed.Failure(f"{one} and {other} differ")


def hosts_of(output):
    """On which host each rank of the run that made `output` was."""
    return [rank["host"] for rank in json.loads((WORK / f"{output}.run.json").read_text())["ranks"]]


SAMPLE = (ROOT / "data" / "sample.jsonl", "--id-field", "id", "--label-field", "label", "--no-below", "2")


def each_launcher(cluster):
    """mpirun and srun give a dispatcher and a worker on the first node, a worker on each other, and the same bytes."""
    cluster.serial("build", *SAMPLE, "-o", "launcher.h5")
    for launcher in ("mpirun", "srun"):
        output = f"launcher-{launcher}.h5"
        cluster.finish(cluster.submit("build.sbatch", *SAMPLE, "-o", output, CORPUSCLE_LAUNCHER=launcher))
        same("launcher.h5", output)
        if hosts_of(output) != ["n1", "n1", "n2", "n3"]:
            raise bed.Failure(f"{launcher} put the ranks on {hosts_of(output)}")


def mpich(cluster):
    """The same built with MPICH, on one node: Debian's MPICH may hang at the end of a run on several."""
    if not (ROOT / "target-mpich" / "release" / "corpuscle").exists():
        return "there is no build with MPICH"
    cluster.serial("build", *SAMPLE, "-o", "mpich.h5")
    for launcher in ("mpirun", "srun"):
        output = f"mpich-{launcher}.h5"
        options = ["--nodes=1", "--ntasks-per-node=2"]
        cluster.finish(cluster.submit("build.sbatch", *SAMPLE, "-o", output, options=options, CORPUSCLE_LAUNCHER=launcher, MPI="mpich"))
        same("mpich.h5", output)
        if hosts_of(output) != ["n1"] * 3:
            raise bed.Failure(f"{launcher} put the ranks on {hosts_of(output)}")


def whole_pipeline(cluster):
    """Text to vectors, a job a step, each waiting for the one before."""
    steps = [
        ("build.sbatch", "build", SAMPLE, "corpus"),
        ("corpuscle.sbatch", "tfidf", ("{corpus}",), "tfidf"),
        ("lsi.sbatch", "lsi", ("{tfidf}", "-k", "6"), "lsi"),
        ("corpuscle.sbatch", "transform", ("{lsi}", "{tfidf}"), "vectors"),
        ("lda.sbatch", "lda", ("{corpus}", "-k", "6"), "lda"),
        ("nmf.sbatch", "nmf", ("{tfidf}", "-k", "6"), "nmf"),
        ("pca.sbatch", "pca", ("{vectors}", "-k", "3"), "pca"),
        ("scale.sbatch", "scale", ("{vectors}", "--no-mean"), "scaled"),
    ]
    jobs = []
    for script, command, arguments, name in steps:
        def fill(kind):
            names = {other: f"{kind}-{other}.h5" for *_, other in steps}
            return [*(str(word).format(**names) for word in arguments), "-o", names[name]]
        cluster.serial(command, *fill("serial"))
        words = fill("slurm") if script.startswith(command) else [command, *fill("slurm")]
        # Workers on nodes that share the file read it themselves; here they are sent it.
        words += ["--scatter"] if command == "lsi" else []
        after = [f"--dependency=afterok:{jobs[-1]}"] if jobs else []
        jobs.append(cluster.submit(script, *words, options=[*after, "--ntasks-per-node=2"]))
    for number, (*_, name) in zip(jobs, steps):
        cluster.finish(number)
        same(f"serial-{name}.h5", f"slurm-{name}.h5")


def seeds_in_an_array(cluster):
    """An array runs a line of a file per element; quotes keep words together."""
    cluster.serial("build", *SAMPLE, "-o", "array.h5")
    lines = [f"lsi array.h5 -k 4 --seed {seed} -o 'seed {seed}.h5'" for seed in (1, 2)]
    (WORK / "sweep.txt").write_text("\n".join(lines) + "\n")
    number = cluster.submit("array.sbatch", "sweep.txt", options=["--nodes=1", "--array=1-2", "--ntasks-per-node=2"])
    for seed in (1, 2):
        bed.until(60, f"seed {seed}", (WORK / f"seed {seed}.h5.run.json").exists)
        cluster.serial("lsi", "array.h5", "-k", 4, "--seed", seed, "-o", f"serial seed {seed}.h5")
        same(f"serial seed {seed}.h5", f"seed {seed}.h5")
    bed.until(20, f"end of job {number}", lambda: not cluster.bed.slurm("squeue", "-h", "-j", number))


def searches_in_an_array(cluster):
    """An array of search.sbatch: %a stands for the number of the element."""
    cluster.serial("build", *SAMPLE, "-o", "search.h5")
    for seed in (1, 2):
        (WORK / f"search-{seed}.toml").write_text(
            '[[step]]\nkind = "tfidf"\n[[step]]\nkind = "ridge-classifier"\n[grid]\nridge-classifier__alpha = [0.1, 1.0]\n'
            f"[cv]\nsplits = 2\nshuffle = true\nseed = {seed}\n")
    number = cluster.submit("search.sbatch", "search-%a.toml", "search.h5", "-o", "search-%a.csv",
                            options=["--nodes=1", "--array=1-2", "--ntasks-per-node=2"])
    for seed in (1, 2):
        bed.until(60, f"search {seed}", (WORK / f"search-{seed}.csv.run.json").exists)
        cluster.serial("search", f"search-{seed}.toml", "search.h5", "-o", f"serial-search-{seed}.csv")
        same(f"serial-search-{seed}.csv", f"search-{seed}.csv")
    bed.until(20, f"end of job {number}", lambda: not cluster.bed.slurm("squeue", "-h", "-j", number))


def a_refused_command_is_not_tried_again(cluster):
    number = cluster.submit("lsi.sbatch", "nothing.h5", "-k", 2, "-o", "refused.h5")
    bed.until(60, "the job fails", lambda: cluster.job(number)["JobState"] == "FAILED")
    if "not tried again" not in cluster.log(number) or "nothing.h5: No such file" not in cluster.log(number):
        raise bed.Failure(cluster.log(number))
    if (WORK / "refused.h5").exists():
        raise bed.Failure("a result of nothing")


class Long:
    """A run of LSI that waits more than it computes: its hosts are far from each other while it lasts."""

    def __init__(self, cluster, name, options=(), delay=0.03, more=(), **settings):
        self.cluster, self.output = cluster, f"{name}.h5"
        corpus = WORK / "long.h5"
        if not corpus.exists():
            cluster.serial("generate", "--documents", 3000, "--terms", 2000, "--mean-length", 60, "-o", corpus)
            cluster.serial("lsi", corpus, *self.LSI, "-o", "long-serial.h5")
        cluster.far(delay)
        words = ("long.h5", *self.LSI, "-o", self.output, "--checkpoint-every", 0, *more)
        self.job = cluster.submit("lsi.sbatch", *words, options=options, **settings)
        self.folder = WORK / f"{self.output}.checkpoint"

    # At 30 ms these rounds take about 20 s.
    LSI = ("-k", "80", "--block", "8", "--rounds", "40")

    def until_checkpoint(self):
        def something():
            self.cluster.check(self.job)
            return self.folder.is_dir() and any(path.stat().st_size > 100_000 for path in self.folder.iterdir())
        bed.until(40, "a checkpoint", something)

    def finish(self, *said, starts=2):
        """The job ends well on start number `starts`, having said so much on the way, with the bytes of a serial run."""
        number = self.job
        state = lambda: self.cluster.check(number)
        bed.until(60, f"start {starts} of job {number}", lambda: int(state()["Restarts"]) >= starts - 1)
        self.cluster.far(0)
        self.cluster.finish(number, 90)
        log = self.cluster.log(number)
        if int(state()["Restarts"]) != starts - 1 or any(words not in log for words in said):
            raise bed.Failure(f"job {number}, {state()['Restarts']} restarts, wanted {said}:\n{log}")
        same("long-serial.h5", self.output)
        if self.folder.exists():
            raise bed.Failure(f"{self.folder} is still there")


def the_time_limit(cluster):
    """USR1 before the time is up, a checkpoint, back into the queue, and on from there."""
    # Slurm looks at its clock every 30 s only.
    run = Long(cluster, "limit", ["--time=1", "--signal=B:USR1@50"], delay=0.1)
    run.finish("time is nearly up", "goes back into the queue", "done: limit.h5")


def preemption(cluster):
    """A job of higher priority takes the nodes; Slurm itself requeues ours."""
    run = Long(cluster, "preempted", ["--partition=spare"], CORPUSCLE_OUTLIVE="no")
    run.until_checkpoint()
    cluster.bed.slurm("sbatch", "--wait", "--partition=work", f"--nodes={NODES}", "--exclusive", "--output=/dev/null", "--wrap", "sleep 1")
    run.finish("done: preempted.h5")


def a_worker_dies(cluster):
    """A killed rank costs neither the job nor a start of it."""
    if "--worker-timeout" not in bed.run(cluster.program, "lsi", "--help"):
        return "this build ends with its first worker"
    run = Long(cluster, "killed", ["--nodes=3"])
    run.until_checkpoint()
    host = cluster.bed.hosts[cluster.last_node(run.job)]
    host.inside("sh", "-c", f"kill -KILL $(pgrep -x {Path(cluster.program).name})")
    run.finish("was lost", "done: killed.h5", starts=1)


def a_node_dies(cluster):
    """All processes of a node end at once: the launcher fails, the job goes back and runs on what is left."""
    run = Long(cluster, "crash", ["--nodes=2"], CORPUSCLE_OUTLIVE="no")
    run.until_checkpoint()
    name = cluster.last_node(run.job)
    cluster.bed.hosts[name].crash()
    try:
        run.finish("done: crash.h5")
    finally:
        cluster.far(0)
        cluster.revive(name)


def a_node_is_cut_off(cluster):
    """Nothing arrives from a node any more, and nobody is told so."""
    # It is Slurm that notices here: the next test is about workers that are given up sooner.
    run = Long(cluster, "cut", ["--nodes=2"], more=("--worker-timeout", 300))
    run.until_checkpoint()
    name = cluster.last_node(run.job)
    cluster.bed.hosts[name].cut()
    try:
        run.finish("done: cut.h5")
    finally:
        cluster.far(0)
        cluster.revive(name)


def a_host_cut_off_costs_no_start(cluster):
    """A worker that nothing arrives from any more is given up after --worker-timeout, later its node by Slurm; the others go on."""
    run = Long(cluster, "apart", ["--nodes=3", "--no-kill"], delay=0.05, more=("--worker-timeout", 3), CORPUSCLE_END_TIMEOUT=3)
    run.until_checkpoint()
    name = cluster.last_node(run.job)
    cluster.bed.hosts[name].cut()
    begin = time.monotonic()
    try:
        bed.until(6, "the loss is noticed", lambda: "no sign of life" in cluster.log(run.job))
        print(f"    noticed after {time.monotonic() - begin:.1f} s")
        bed.until(60, "Slurm gives the node up", lambda: any("down" in state for state in cluster.bed.state()))
        run.finish("was lost", "done: apart.h5", starts=1)
    finally:
        cluster.far(0)
        cluster.revive(name)


def scaling(cluster):
    """Strong and weak scaling in one job each: every run is a line of the table, and the page shows them."""
    cluster.serial("build", *SAMPLE, "-o", "scaling.h5")
    cluster.finish(cluster.submit("scaling-strong.sbatch", "strong", "lsi", "scaling.h5", "-k", 4, CORPUSCLE_REPEAT=1))
    cluster.finish(cluster.submit("scaling-weak.sbatch", "weak", 300, "-k", 4, "--rounds", 3, CORPUSCLE_REPEAT=1, CORPUSCLE_TERMS=500))
    for kind in ("strong", "weak"):
        with open(WORK / kind / f"{kind}.csv") as lines:
            rows = list(csv.DictReader(lines))
        if [row["workers"] for row in rows] != ["1", "2", "3"] or any(not float(row["krylov seconds"]) > 0 for row in rows):
            raise bed.Failure(f"{kind}: {rows}")
        page = (WORK / kind / f"{kind}.html").read_text()
        if f"{kind} scaling" not in page or page.count("<svg") != 6:
            raise bed.Failure(f"the page of {kind} scaling")


TESTS = [each_launcher, mpich, whole_pipeline, seeds_in_an_array, searches_in_an_array, a_refused_command_is_not_tried_again,
         scaling, the_time_limit, preemption, a_worker_dies, a_node_dies, a_node_is_cut_off,
         a_host_cut_off_costs_no_start]


def main():
    setup = subprocess.run(["bash", str(ROOT / "tests" / "cluster" / "setup.sh")], stdout=subprocess.PIPE, text=True)
    if setup.returncode:
        print(f"cluster: no test bed: {setup.stdout.strip()}")
        sys.exit(1 if setup.returncode != 3 or os.environ.get("CI") else 0)
    bed.enter()
    chosen = [test for test in TESTS if not sys.argv[1:] or any(name in test.__name__ for name in sys.argv[1:])]
    cluster = Cluster()
    passed, failed, ignored = 0, 0, 0
    for test in chosen:
        start = time.monotonic()
        try:
            reason = test(cluster)
            outcome = f"ignored: {reason}" if reason else "ok"
            passed, ignored = passed + (not reason), ignored + bool(reason)
        except Exception:
            outcome = "FAILED\n" + traceback.format_exc()
            failed += 1
        print(f"test {test.__name__} ... {outcome} ({time.monotonic() - start:.1f} s)", flush=True)
    if failed:
        cluster.bed.keep_logs(WORK / "slurm-logs")
    print(f"test result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed; {ignored} ignored")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
