"""A cluster on one machine: hosts with a network between them, and a real Slurm on them.

`enter()` moves the calling program into namespaces of its own; all that a `Bed` starts lives in them and ends with
them, whatever happens. Nothing of it is seen from outside: no interface, no mount, no process to be found and killed.

A host has its own name, network address, processes, /tmp and /dev/shm, and shares all other files: `login`, which runs
slurmctld and munged, and the nodes `n1`, `n2`, ... with a slurmd each. They are joined by a bridge of the kernel's, or by
`wire` (wire.c), which delays what it carries.
"""
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STATE = Path("/run/bed")
INSIDE = "CORPUSCLE_BED"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def enter():
    """Starts the calling script again inside namespaces of its own, unless it is there already.

    --kill-child: if `unshare` ends, so does the script, as process 1 in there, and with it everything it started.
    """
    if not (os.getpid() == 1 and INSIDE in os.environ):
        os.environ[INSIDE] = "1"
        command = ["unshare", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
        os.execvp("unshare", [*command, sys.executable, *sys.argv])
    # The first process of a namespace ignores signals that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Sockets need short paths, and all hosts must see them: a file system of the bed's own over /run.
    subprocess.run(["mount", "-t", "tmpfs", "bed", "/run"], check=True)
    STATE.mkdir()


class Failure(Exception):
    """Something of the bed does not work."""


def until(seconds, what, condition):
    """Waits until `condition()` is true and returns its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return value


class Host:
    def __init__(self, bed, name, number):
        self.bed, self.name, self.address = bed, name, f"10.86.0.{10 + number}"
        self.boot()

    def boot(self):
        """Starts the host, with nothing running on it but the process that holds its namespaces."""
        shared = [str(path) for path in self.bed.shared if path.is_relative_to("/tmp")]
        command = ["unshare", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
        command += ["bash", str(HERE / "host.sh"), self.name, str(STATE / "hosts"), *shared]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise Failure(f"host {self.name} does not start")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.first = int(children.read_text().split()[0])
        if self.bed.slow:
            self.inside("ip", "tuntap", "add", "dev", "eth0", "mode", "tap")
        else:
            run("ip", "link", "add", "name", self.name, "type", "veth", "peer", "name", "eth0", "netns", str(self.first))
            run("ip", "link", "set", self.name, "master", "br0", "up")
        self.inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")

    def command(self, *words):
        """The command that runs `words` on this host, in the present folder if it is there."""
        enter = ["nsenter", "--target", str(self.first), "--net", "--uts", "--ipc", "--pid", "--mount"]
        return [*enter, "--", "sh", "-c", 'cd "$0" 2>/dev/null || cd /; exec "$@"', os.getcwd(), *map(str, words)]

    def inside(self, *words, **options):
        return run(*self.command(*words), **options)

    def crash(self):
        """Ends every process of the host at once."""
        self.process.kill()
        self.process.wait()

    def cut(self):
        """Nothing arrives from this host any more or reaches it, and nobody is told."""
        if self.bed.slow:
            self.bed.tell_wire(f"cut {self.name}")
        else:
            run("ip", "link", "set", self.name, "nomaster")


def run(*words, **options):
    """Runs a command that has to succeed and returns what it printed."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise Failure(f"{shlex.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Bed:
    """Hosts and Slurm. `slow`: joined by the wire, whose delay and rate can be set."""

    def __init__(self, nodes, slow=False, cpus=2, shared=()):
        self.slow, self.nodes = slow, nodes
        self.shared = [ROOT, *map(Path, shared)]
        names = ["login", *(f"n{number}" for number in range(1, nodes + 1))]
        lines = ["127.0.0.1 localhost", *(f"10.86.0.{10 + number} {name}" for number, name in enumerate(names))]
        (STATE / "hosts").write_text("\n".join(lines) + "\n")
        run("ip", "link", "set", "lo", "up")
        if not slow:
            run("ip", "link", "add", "name", "br0", "type", "bridge")
            run("ip", "link", "set", "br0", "up")
        self.hosts = {name: Host(self, name, number) for number, name in enumerate(names)}
        if slow:
            self.start_wire()
        self.start_slurm(cpus)

    def start_wire(self):
        program = STATE / "wire"
        run("cc", "-O2", "-o", str(program), str(HERE / "wire.c"))
        ports = [f"{host.name}={host.first}" for host in self.hosts.values()]
        self.wire = subprocess.Popen([program, *ports], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.tell_wire("count")

    def tell_wire(self, line):
        """Frames and bytes that the wire has carried, after it did what the line says."""
        self.wire.stdin.write(line + "\n")
        answer = self.wire.stdout.readline().split()
        if answer[:1] != ["ok"]:
            raise Failure(f"the wire did not understand {line!r}")
        return tuple(map(int, answer[1:]))

    def start_slurm(self, cpus):
        for folder in ("munge", "state", "log", "spool", "tmp"):
            (STATE / folder).mkdir()
        key = STATE / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(64))
        (STATE / "munge").chmod(0o711)
        (STATE / "slurm.conf").write_text(self.slurm_conf(cpus))
        (STATE / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        munge = STATE / "munge"
        self.daemon("login", "munged", "--foreground", f"--key-file={key}", f"--socket={munge}/socket", f"--pid-file={munge}/pid",
                    f"--log-file={STATE}/log/munged", f"--seed-file={munge}/seed", "--num-threads=1")
        until(10, "munge answers", (munge / "socket").exists)
        self.daemon("login", "slurmctld", "-D")
        for name in self.node_names():
            self.start_slurmd(name)
        until(30, "all nodes are idle", lambda: self.state().count("idle") == self.nodes)

    def revive(self, name):
        """Starts a node that has crashed or was cut off again, with nothing running on it but its slurmd."""
        host = self.hosts[name]
        host.crash()
        host.boot()
        if self.slow:
            self.wire.stdin.close()
            self.wire.wait()
            self.start_wire()
        self.start_slurmd(name)

    def start_slurmd(self, name):
        (STATE / "tmp" / name).mkdir(exist_ok=True)
        self.daemon(name, "slurmd", "-D", "-N", name)

    def node_names(self):
        return [name for name in self.hosts if name != "login"]

    def state(self):
        """One word for each node."""
        return self.slurm("sinfo", "-h", "-N", "-p", "work", "-o", "%T").split()

    def daemon(self, host, *words):
        """Starts a program on a host that is to run until the host ends."""
        environment = {"PATH": SYSTEM_PATH, "SLURM_CONF": str(STATE / "slurm.conf"), "HOSTNAME": host}
        with open(STATE / "log" / f"{host}.{words[0]}.out", "a") as log:
            subprocess.Popen(self.hosts[host].command("env", "-i", *(f"{k}={v}" for k, v in environment.items()), *words),
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def slurm(self, *words, environment=None, cwd=None):
        """Runs a command of Slurm's on the login host, as a user would, and returns what it printed."""
        settings = dict(os.environ if environment is None else environment, SLURM_CONF=str(STATE / "slurm.conf"))
        before = os.getcwd()
        try:
            os.chdir(cwd or before)
            return self.hosts["login"].inside(*words, env=settings).strip()
        finally:
            os.chdir(before)

    def slurm_conf(self, cpus):
        nodes = "\n".join(f"NodeName={name} NodeAddr={self.hosts[name].address} CPUs={cpus} RealMemory=2000"
                          for name in self.node_names())
        every = f"n[1-{self.nodes}]"
        return f"""\
ClusterName=bed
SlurmctldHost=login({self.hosts['login'].address})
SlurmUser=root
AuthType=auth/munge
# cred_expire is also the time a requeued job waits before it starts again: 120 s by default.
AuthInfo=socket={STATE}/munge/socket,cred_expire=5
CredType=cred/munge
# No cgroups: there may be none. Processes are followed through /proc, and ranks are not bound.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
# A node's CPUs need not exist.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=100000,batch_sched_delay=0
# A node that does not answer is down after so many seconds.
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=5
CompleteWait=0
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
RebootProgram=/bin/true
TmpFS={STATE}/tmp/%n
StateSaveLocation={STATE}/state
SlurmdSpoolDir={STATE}/spool/%n
SlurmctldPidFile={STATE}/slurmctld.pid
SlurmdPidFile={STATE}/slurmd.%n.pid
SlurmctldLogFile={STATE}/log/slurmctld
SlurmdLogFile={STATE}/log/slurmd.%n
{nodes}
# Jobs of `spare` give way to those of `work` after 10 s of grace.
PartitionName=spare Nodes={every} PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=work Nodes={every} PriorityTier=5 PreemptMode=OFF Default=YES DefaultTime=10
"""

    def keep_logs(self, folder):
        """Copies what Slurm said to where it outlives the bed."""
        shutil.copytree(STATE / "log", folder, dirs_exist_ok=True)
