"""Runs on one node, two, four and eight: tests that do nothing, and the speed-up of tests that sleep."""

import maelstrom
import nodes
from hosts import Hosts
from measure import Runner, first_line, run
from null import xdist_tree, xdist_version

SLOTS = 2
# Tests where each costs far more than anywhere else.
FEW = 40


def words(options):
    options.add_argument("--nodes", type=int, action="append", help="default: 1, 2, 4 and 8")
    options.add_argument("--tests", type=int, default=600, help="that do nothing")
    options.add_argument("--sleeping", type=int, default=200, help="that sleep")
    options.add_argument("--millis", type=int, default=100, help="how long they sleep")


def compare(bench):
    options, place = bench.options, bench.folder("throughput")
    counts = sorted(set(options.nodes or [1, 2, 4, 8]))
    program = nodes.shell(place)
    sets = {"null": [nodes.name(number) for number in range(options.tests)],
            "sleeping": [nodes.name(number, options.millis) for number in range(options.sleeping)]}
    makers = [("testmesh", ours), ("Maelstrom", cluster), ("pytest-xdist over ssh", xdist), ("GNU parallel --sshlogin", parallel)]
    rows = []
    for name, make in makers:
        alone = None  # seconds a sleeping test on one node
        for count in counts:
            sub = place / f"{make.__name__}-{count}"
            sub.mkdir()
            made = bench.attempt(f"{name}, {count} nodes", make, bench, sub, program, count, sets)
            measured = made and bench.attempt(f"{name}, {count} nodes", measure, made)
            if made:
                made["servers"].end()
            if not measured:
                break
            null, sleeping = measured
            tests = {kind: len(made["sets"][kind]) for kind in sets}
            shortest = tests["sleeping"] * options.millis / 1e3 / SLOTS / count
            alone = alone or sleeping.seconds() * count / tests["sleeping"]
            rows.append({"runner": name, "nodes": count, "version": made["version"], "null_tests": tests["null"],
                         "sleeping_tests": tests["sleeping"], "null_per_s": tests["null"] / null.seconds(),
                         "null_cpu_ms": null.cpu_seconds() * 1e3 / tests["null"], "sleeping_s": sleeping.seconds(),
                         "shortest_s": shortest, "of_shortest": sleeping.seconds() / shortest,
                         "speedup": alone * tests["sleeping"] / sleeping.seconds()})
    columns = [("runner", "runner", ""), ("nodes", "nodes", ""), ("null tests", "null_tests", ""), ("tests/s", "null_per_s", ".0f"),
               ("CPU ms a null test", "null_cpu_ms", ".2f"), ("sleeping tests", "sleeping_tests", ""), ("seconds", "sleeping_s", ".2f"),
               ("x shortest", "of_shortest", ".2f"), ("speed-up", "speedup", ".2f"), ("version", "version", "")]
    title = f"tests that do nothing, and tests that sleep {options.millis} ms, {SLOTS} slots a node"
    bench.table("throughput", title, "runner", columns, rows)


def measure(made):
    """The tests that do nothing, once unmeasured; then those that sleep, which come cold."""
    runners = []
    for name in ("null", "sleeping"):
        runner = Runner(name, made["version"], lambda: made["run"](name), made["servers"].pids)
        if name == "null":
            runner.once()
        runner.measure()
        runners.append(runner)
    return runners


def ours(bench, place, program, count, sets):
    trees = {name: nodes.checkout(place / name, program, tests) for name, tests in sets.items()}
    mesh = nodes.Mesh(bench, place / "nodes", [SLOTS] * count)
    ways = ["--nonetwork"] if count == 1 else []
    return {"run": lambda name: mesh.run(trees[name], *ways, f"-j{SLOTS}"), "servers": mesh.servers,
            "version": bench.version(), "sets": sets}


def cluster(bench, place, program, count, sets):
    made = maelstrom.Cluster(bench, place / "cluster")
    for _ in range(count):
        made.worker(SLOTS)
    jobs = {name: made.jobs(name, program, tests) for name, tests in sets.items()}
    return {"run": lambda name: made.run(jobs[name]), "servers": made.servers, "version": made.version, "sets": sets}


def xdist(bench, place, program, count, sets):
    pytest, version = bench.find("pytest"), xdist_version(bench)
    python = f"{pytest.rsplit('/', 1)[0]}/python"
    hosts = Hosts(bench, place / "hosts", count)
    for name, tests in sets.items():
        xdist_tree(place / name, [[str(program), test] for test in tests])
    given = [f"--tx={SLOTS}*ssh=-F {hosts.config} {host}//python={python}//chdir={place}/at-{host}" for host in hosts.names]
    base = [pytest, "-q", "--dist=load", "-p", "no:cacheprovider", *given]
    return {"run": lambda name: run([*base, f"--rsyncdir={place / name}", place / name], place), "servers": hosts.servers,
            "version": f"{version}, {hosts.version}", "sets": sets}


def parallel(bench, place, program, count, sets):
    parallel = bench.find("parallel")
    # A session and a Perl a test: fewer of them.
    sets = {name: tests[:FEW] for name, tests in sets.items()}
    hosts = Hosts(bench, place / "hosts", count)
    feeds = {name: "".join(f"{test}\n" for test in tests).encode() for name, tests in sets.items()}
    logins = ",".join(f"{SLOTS}/{host}" for host in hosts.names)
    base = [parallel, "--will-cite", "--controlmaster", "--ssh", hosts.ssh, "--sshlogin", logins, program]
    return {"run": lambda name: run(base, place, {"HOME": str(place)}, feeds[name]), "servers": hosts.servers,
            "version": f"{first_line([parallel, '--version'])}, {hosts.version}", "sets": sets}
