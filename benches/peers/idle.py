"""What nodes that do nothing cost: CPU and memory."""

import time

import icecream
import maelstrom
import nodes
from measure import cpu_of_trees, resident


def words(options):
    options.add_argument("--seconds", type=int, default=30)


def compare(bench):
    place, kinds = bench.folder("idle"), {}
    for name, make in (("testmesh", ours), ("Maelstrom", cluster), ("icecream", daemons)):
        kinds.update(bench.attempt(name, make, bench, place) or {})
    # What starting them leaves to do is not idling.
    time.sleep(5)
    before = {name: cpu_of_trees([pid]) for name, (pid, _) in kinds.items()}
    time.sleep(bench.options.seconds)
    rows = []
    for name, (pid, version) in kinds.items():
        (own, whole), cpu = resident(pid), cpu_of_trees([pid]) - before[name]
        rows.append({"what": name, "version": version, "cpu_percent": cpu * 100 / bench.options.seconds, "mb": own, "tree_mb": whole})
    columns = [("what", "what", ""), ("CPU % of a core", "cpu_percent", ".2f"), ("resident MB", "mb", ".1f"),
               ("MB of its whole tree, shared pages once", "tree_mb", ".1f"), ("version", "version", "")]
    bench.table("idle", f"{bench.options.seconds} s of doing nothing", "what", columns, rows)


def ours(bench, place):
    mesh = nodes.Mesh(bench, place / "mesh", [2, 2, 2])
    return {"testmesh: one node of three": (mesh.servers.running["n2"].pid, bench.version())}


def cluster(bench, place):
    made = maelstrom.Cluster(bench, place / "maelstrom")
    worker = made.worker(2)
    return {"Maelstrom: broker": (made.broker.pid, made.version), "Maelstrom: worker": (worker.pid, made.version)}


def daemons(bench, place):
    made = icecream.Cluster(bench, place / "icecream", 1)
    return {"icecream: scheduler": (made.scheduler.pid, made.version), "icecream: iceccd": (made.daemons[0].pid, made.version)}
