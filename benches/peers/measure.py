"""Processes, their CPU, and rounds: what all comparisons share."""

import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
# Nothing here takes a busy machine longer, in seconds.
PATIENCE = 120


class Missing(Exception):
    """Something could not be had, started or run; what, and why."""


def cpu_of_children():
    """Seconds of CPU of all children that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def processes():
    """Parent and seconds of CPU, its own and of all it waited for, of every process."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        found[int(name)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICKS)
    return found


def tree(root):
    """A process and everything below it."""
    parents = processes()
    found = [root]
    for pid in found:
        found.extend(child for child, (parent, _) in parents.items() if parent == pid)
    return found


def cpu_of_trees(roots):
    """Seconds of CPU of processes that go on, all below them and all these have waited for."""
    known = processes()
    return sum(known[pid][1] for root in roots for pid in tree(root) if pid in known)


def resident(root):
    """MB of memory of a process, and of it with all below it where pages that they share count once."""
    def lines(pid, name, word):
        try:
            text = pathlib.Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(word)) / 1024

    return lines(root, "status", "VmRSS:"), sum(lines(pid, "smaps_rollup", "Pss:") for pid in tree(root))


def run(words, where, env=None, feed=None):
    """Runs a command to its end; returns what it said."""
    full = dict(os.environ, **(env or {}))
    done = subprocess.run(list(map(str, words)), cwd=where, env=full, input=feed, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=None if feed else subprocess.DEVNULL)
    said = done.stdout.decode(errors="replace")
    if done.returncode:
        raise Missing(f"{pathlib.Path(words[0]).name} ended with {done.returncode}: {said.strip()[-800:]}")
    return said


def first_line(words):
    try:
        return (run(words, ROOT).splitlines() or ["?"])[0].strip()
    except (Missing, OSError):
        return "?"


def wait_until(what, ready, seconds=PATIENCE):
    """Waits until something holds, and returns it."""
    until = time.monotonic() + seconds
    while True:
        found = ready()
        if found:
            return found
        if time.monotonic() > until:
            raise Missing(f"{what}: not within {seconds} s")
        time.sleep(0.005)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Servers:
    """Programs that run until they are ended, each with its output in a file."""

    def __init__(self, place):
        self.place, self.running = place, {}
        place.mkdir(parents=True, exist_ok=True)

    def start(self, name, words, env=None):
        with open(self.place / f"{name}.log", "ab") as log:
            process = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                       cwd=self.place, env=dict(os.environ, **(env or {})))
        self.running[name] = process
        return process

    def said(self, name):
        """Its output, without colours."""
        text = (self.place / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def pids(self):
        return [process.pid for process in self.running.values()]

    def wait(self, what, ready, seconds):
        """Waits until something holds, unless one of them ends."""
        def found():
            for name, process in self.running.items():
                if process.poll() is not None:
                    raise Missing(f"{name} has ended: {self.said(name)[-500:]}")
            return ready()
        return wait_until(what, found, seconds)

    def stop(self, name):
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in reversed(tree(process.pid)):
                os.kill(pid, signal.SIGKILL)
            process.wait()

    def end(self):
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for name in list(self.running):
            self.stop(name)


class Runner:
    """One way to do the work: its name, its version, how, which processes beside its own work for it, and its floor."""

    def __init__(self, name, version, once, servers=lambda: [], floor=None):
        self.name, self.version, self.once, self.servers, self.floor = name, version, once, servers, floor
        self.cpu, self.wall = [], []

    def tried(self):
        self.once()
        return True

    def measure(self):
        cpu, begun = cpu_of_children() + cpu_of_trees(self.servers()), time.monotonic()
        self.once()
        self.wall.append(time.monotonic() - begun)
        self.cpu.append(cpu_of_children() + cpu_of_trees(self.servers()) - cpu)

    def seconds(self):
        return statistics.median(self.wall)

    def cpu_seconds(self):
        return statistics.median(self.cpu)


class Bench:
    """A comparison under way: its folder, its programs, its figures, and what could not be had."""

    def __init__(self, options, place):
        self.options, self.place = options, place
        self.missing, self.servers = [], []
        folders = [options.peers / "bin", options.peers / "python/bin"]
        self.path = os.pathsep.join(map(str, folders))

    def find(self, name):
        program = shutil.which(name, path=self.path) or shutil.which(name)
        if not program:
            raise Missing(f"{name} is not here; benches/peers/prepare.sh fetches it")
        return program

    def ours(self, name):
        program = self.options.programs / name
        if not program.is_file():
            raise Missing(f"{program} is not there; cargo build --release --bins makes it")
        return program

    def version(self):
        return first_line([self.ours("run-tests"), "--version"])

    def folder(self, name):
        place = self.place / name
        place.mkdir()
        return place

    def attempt(self, name, make, *words):
        """What a maker makes; nothing, and a word at the end, where it cannot."""
        try:
            return make(*words)
        except (Missing, OSError) as why:
            self.lacks(name, why)
            return None

    def lacks(self, name, why):
        self.missing.append((name, " ".join(str(why).split()) or "no reason given"))

    def keep(self, servers):
        """Servers that are ended with the comparison, however that ends."""
        self.servers.append(servers)
        return servers

    def end(self):
        for servers in self.servers:
            servers.end()

    def rounds(self, runners, rounds):
        """Measures all in turn, another one first in every round; returns those that could be."""
        # Once unmeasured: caches of bytecode, layers, content, durations.
        able = [runner for runner in runners if self.attempt(runner.name, runner.tried)]
        for number in range(rounds):
            for place in range(len(able)):
                able[(place + number) % len(able)].measure()
        return able
