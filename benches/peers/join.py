"""How long a new node takes until it runs its first test of a run that is under way."""

import os
import pathlib
import statistics
import subprocess
import time

import maelstrom
import nodes
from measure import Missing, tree, wait_until

# More than are done while a node joins.
TESTS, MILLIS = 1000, 100


def words(options):
    options.add_argument("--rounds", type=int, default=5)


def compare(bench):
    place = bench.folder("join")
    program = nodes.shell(place)
    rows = []
    for name, make in (("testmesh", ours), ("Maelstrom", cluster)):
        rows += bench.attempt(name, make, bench, place, program) or []
    columns = [("a node starts until its first test runs", "what", ""), ("median ms", "median_ms", ".0f"), ("worst ms", "worst_ms", ".0f"),
               ("version", "version", "")]
    title = f"a run of {TESTS} tests of {MILLIS} ms is under way on another node, {bench.options.rounds} rounds"
    bench.table("join", title, "what", columns, rows)


def row(what, version, took):
    return {"what": what, "version": version, "median_ms": statistics.median(took) * 1e3, "worst_ms": max(took) * 1e3}


def runs_test(root):
    """Whether a test runs below a process; the name of each says how long it sleeps."""
    for pid in tree(root):
        try:
            if f"-{MILLIS}ms.js" in pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace"):
                return True
        except OSError:
            continue
    return False


def during(command, env, where, old, begin):
    """Seconds from the start of a node to its first test, in the middle of a run; then the run is ended."""
    running = subprocess.Popen(list(map(str, command)), env=dict(os.environ, **env), cwd=where, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until("the run begins", lambda: runs_test(old) or ended(running))
        begun = time.monotonic()
        started = begin()
        wait_until("the new node runs a test", lambda: runs_test(started.pid) or ended(running))
        return time.monotonic() - begun
    finally:
        running.terminate()
        running.wait()


def ended(process):
    if process.poll() is not None:
        raise Missing(f"the run has ended with {process.returncode} before the new node took part")


def ours(bench, place, program):
    tests = nodes.checkout(place / "v8", program, (nodes.name(number, MILLIS) for number in range(TESTS)))
    mesh = nodes.Mesh(bench, place / "mesh", [2, 2, 2])
    command, env = mesh.words(tests, "--remote-only")
    warm, cold = [], []
    for took, forget in [(cold, True), (warm, False)] * bench.options.rounds:
        mesh.servers.stop("n3")
        if forget:
            subprocess.run(["rm", "-rf", mesh.home("n3") / "cache"], check=True)
        wait_until("the others notice that it is gone", lambda: mesh.mutual("n1") == 1)
        took.append(during(command, env, tests, mesh.servers.running["n2"].pid, lambda: mesh.begin("n3")))
    return [row("testmesh, with nothing in its store", bench.version(), cold),
            row("testmesh, that has the inputs", bench.version(), warm)]


def cluster(bench, place, program):
    made = maelstrom.Cluster(bench, place / "maelstrom")
    first, took = made.worker(2), []
    jobs = made.jobs("join", program, [nodes.name(number, MILLIS) for number in range(TESTS)])
    for _ in range(bench.options.rounds):
        command, env = made.words(jobs)
        took.append(during(command, env, place, first.pid, lambda: made.worker(2)))
        made.servers.stop(f"worker-{made.count}")
    return [row("Maelstrom, a worker with an empty cache", made.version, took)]
