#!/usr/bin/env python3
"""Null-test overhead of other runners beside ours, from one run on one machine.

    benches/peers/prepare.sh                                  # once
    cargo build --release --bins
    benches/peers/compare.py [--tests N] [--rounds N] [--json FILE] [--v8 CHECKOUT [--v8-python PYTHON]]

Every runner runs the same program, which does nothing, N times, two at a time. CPU is user and system time of the whole
tree of processes, as the kernel sums it up for a parent that has waited for it; for runs on our mesh, that of the nodes
is added. A runner that is not there is named and left out. Medians; rounds are interleaved. Only the standard library.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
NULL = "int main(void) { return 0; }\n"


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(words, where, env=None, feed=None):
    """Runs a command to its end; output goes nowhere."""
    full = dict(os.environ, **(env or {}))
    done = subprocess.run(words, cwd=where, env=full, input=feed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        text = done.stdout.decode(errors="replace")[-800:]
        raise RuntimeError(f"{words[0]} ended with {done.returncode}:\n{text}")


def first_line(words):
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        lines = done.stdout.decode(errors="replace").splitlines()
        return lines[0].strip() if lines else "?"
    except OSError:
        return "?"


def compiled(place):
    source, program = place / "null.c", place / "null"
    source.write_text(NULL)
    for link in (["-static"], []):
        if subprocess.run(["cc", "-O2", *link, "-o", program, source], stderr=subprocess.DEVNULL).returncode == 0:
            return program
    sys.exit("a C compiler is needed")


class Runner:
    """One way to run the tests: its name, its version, and how."""

    def __init__(self, name, version, once, floor="xargs"):
        self.name, self.version, self.once, self.floor = name, version, once, floor
        self.cpu, self.wall = [], []


def xargs(place, null, tests):
    feed = b"test\n" * tests
    return Runner("xargs -P2 -n1 (floor)", first_line(["xargs", "--version"]),
                  lambda: run(["xargs", "-P2", "-n1", null], place, feed=feed))


def parallel(place, null, tests, find):
    program = find("parallel")
    feed = b"test\n" * tests
    return Runner("GNU parallel -j2", first_line([program, "--version"]),
                  lambda: run([program, "--will-cite", "-j2", null], place, {"HOME": str(place)}, feed))


def lit(place, null, tests, find):
    program = find("lit")
    tree = place / "lit"
    tree.mkdir()
    (tree / "lit.cfg.py").write_text(
        "import lit.formats\nconfig.name = 'null'\nconfig.test_format = lit.formats.ShTest(execute_external=False)\n"
        "config.suffixes = ['.test']\nconfig.test_source_root = config.test_exec_root = "
        f"{str(tree)!r}\n")
    for number in range(tests):
        (tree / f"t{number:05}.test").write_text(f"RUN: {null}\n")
    return Runner("lit -j2", first_line([program, "--version"]), lambda: run([program, "-q", "-j2", tree], place))


def xdist(place, null, tests, find):
    python = pathlib.Path(find("pytest"))
    tree = place / "xdist"
    tree.mkdir()
    (tree / "test_null.py").write_text(
        "import subprocess, pytest\n"
        f"@pytest.mark.parametrize('number', range({tests}))\n"
        f"def test(number): subprocess.run([{str(null)!r}, 'test'], check=True, capture_output=True)\n")
    listed = subprocess.run([python.parent / "pip", "list"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    versions = dict(line.split()[:2] for line in listed.stdout.decode().splitlines() if len(line.split()) > 1)
    return Runner("pytest-xdist -n2", f"pytest-xdist {versions.get('pytest-xdist', '?')}, pytest {versions.get('pytest', '?')}",
                  lambda: run([python, "-q", "-n2", "-p", "no:cacheprovider", tree], place))


def nextest(place, null, tests, find):
    """A test binary with as many names, since nextest runs nothing else; its own start is its floor."""
    program = find("cargo-nextest")
    crate = place / "nextest"
    (crate / "tests").mkdir(parents=True)
    (crate / "src").mkdir()
    (crate / "src/lib.rs").write_text("")
    (crate / "Cargo.toml").write_text(
        '[package]\nname = "null"\nversion = "0.1.0"\nedition = "2021"\n[[test]]\nname = "null"\nharness = false\n[workspace]\n')
    (crate / "tests/null.rs").write_text(
        "fn main() {\n    let words: Vec<String> = std::env::args().collect();\n"
        '    let has = |word: &str| words.iter().any(|given| given == word);\n'
        '    if has("--list") && !has("--ignored") {\n'
        f'        for number in 0..{tests} {{ println!("t{{number:05}}: test"); }}\n    }}\n}}\n')
    (crate / ".config").mkdir()
    (crate / ".config/nextest.toml").write_text("[profile.default]\nstatus-level = 'none'\nfinal-status-level = 'none'\n")
    target = {"CARGO_TARGET_DIR": str(crate / "target"), "NEXTEST_HIDE_PROGRESS_BAR": "1"}
    run(["cargo", "build", "--release", "--tests", "--offline"], crate, target)
    words = [program, "nextest", "run", "--release", "--offline", "--test-threads", "2"]
    version = first_line([program, "--version"])
    binary = next(path for path in (crate / "target/release/deps").glob("null-*") if os.access(path, os.X_OK) and not path.suffix)
    feed = b"t00000\n" * tests
    own = Runner("xargs of nextest's test binary (its floor)", "", lambda: run(["xargs", "-P2", "-n1", binary, "--exact"], place, feed=feed))
    single = dict(target, NEXTEST_DOUBLE_SPAWN="0")
    return [own, Runner("cargo-nextest, NEXTEST_DOUBLE_SPAWN=0", version, lambda: run(words, crate, single), own.name),
            Runner("cargo-nextest", version, lambda: run(words, crate, target), own.name)]


def v8(place, null, tests, checkout, python):
    """The runner of a checkout over a tree of our own with as many empty tests."""
    tree = place / "v8"
    (tree / "test/mjsunit").mkdir(parents=True)
    shutil.copytree(checkout / "tools", tree / "tools", ignore=shutil.ignore_patterns("clang", "turbolizer", "*.js"))
    for name in ("include", "testing"):
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, tree / name)
    for name in ("testcfg.py", "mjsunit.js"):
        shutil.copy(checkout / "test/mjsunit" / name, tree / "test/mjsunit")
    for name in ("__init__.py",):
        if (checkout / "test" / name).is_file():
            shutil.copy(checkout / "test" / name, tree / "test")
    (tree / "test/mjsunit/mjsunit.status").write_text("[[ALWAYS, {}]]\n")
    for number in range(tests):
        (tree / f"test/mjsunit/t{number:05}.js").write_text("// nothing\n")
    out = tree / "out/x64.release"
    out.mkdir(parents=True)
    shutil.copy(null, out / "d8")
    config = {"current_cpu": "x64", "target_cpu": "x64", "v8_current_cpu": "x64", "v8_target_cpu": "x64"}
    flags = ["is_debug", "dcheck_always_on", "is_asan", "is_cfi", "is_clang", "is_component_build", "is_gcov_coverage",
             "is_msan", "is_tsan", "is_ubsan_vptr", "v8_enable_i18n_support", "v8_enable_verify_predictable",
             "v8_use_snapshot", "v8_enable_verify_csa", "v8_enable_lite_mode", "v8_enable_pointer_compression",
             "v8_enable_concurrent_marking", "v8_enable_third_party_heap", "v8_enable_webassembly", "v8_enable_single_generation",
             "v8_control_flow_integrity", "v8_dict_property_const_tracking", "v8_enable_sandbox", "v8_enable_shared_ro_heap"]
    config.update({flag: flag == "v8_use_snapshot" for flag in flags})
    (out / "v8_build_config.json").write_text(json.dumps(config))
    version = {}
    for line in (checkout / "include/v8-version.h").read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "#define":
            version[words[1]] = words[2]
    name = ".".join(version.get(f"V8_{part}", "?") for part in ("MAJOR_VERSION", "MINOR_VERSION", "BUILD_NUMBER"))
    words = [python, "tools/run-tests.py", "--outdir=out/x64.release", "-j2", "--progress=dots", "--variants=default", "mjsunit"]
    if version.get("V8_MAJOR_VERSION", "0").isdigit() and int(version["V8_MAJOR_VERSION"]) < 7:
        words[2:3] = ["--arch=x64", "--mode=release", "--outdir=out", "--no-presubmit", "--nonetwork"]
    return Runner("V8's own run-tests.py -j2", f"V8 {name}, {first_line([python, '--version'])}", lambda: run(words, tree))


class Maelstrom:
    """A broker and a worker with two slots on loopback, for as long as the comparison lasts."""

    def __init__(self, place, null, tests, find):
        self.place, self.processes = place / "maelstrom", []
        self.place.mkdir()
        broker, worker, client = (find(f"maelstrom-{part}") for part in ("broker", "worker", "run"))
        started = subprocess.Popen([broker, "--port", "0", "--log-level", "info"], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=self.env("broker"))
        self.processes.append(started)
        address = None
        for line in started.stdout:
            words = line.decode(errors="replace")
            if "listening" in words and "addr" in words:
                address = words.split("addr:")[-1].strip().split(",")[0].strip()
                break
        port = address.rsplit(":", 1)[-1] if address else None
        if not port:
            raise RuntimeError("the broker does not say where it listens")
        self.processes.append(subprocess.Popen([worker, "--broker", f"127.0.0.1:{port}", "--slots", "2"],
                                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env("worker")))
        spec = "".join(json.dumps({"image": None, "program": "/null", "layers": [{"paths": [str(null)], "prefix_options":
                       {"strip_prefix": str(null.parent)}}]}) + "\n" for _ in range(tests))
        file = self.place / "jobs.json"
        file.write_text(spec)
        self.runner = Runner("Maelstrom, broker and one worker with 2 slots", first_line([client, "--version"]),
                             lambda: run([client, "--broker", f"127.0.0.1:{port}", "--file", file], place, self.env("client")))

    def env(self, name):
        home = self.place / name
        home.mkdir(exist_ok=True)
        return dict(os.environ, HOME=str(home), XDG_CACHE_HOME=str(home), XDG_STATE_HOME=str(home))

    def end(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait()


def ours(place, tests, rounds, options):
    """The figures of our own benchmark, made in the same run."""
    file = place / "ours.json"
    bench = [options.bench] if options.bench else ["cargo", "bench", "--bench", "mesh", "--"]
    words = [*bench, "overhead", "--tests", str(tests), "--rounds", str(rounds), "--json", file]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode or not file.is_file():
        raise RuntimeError(done.stderr.decode(errors="replace")[-800:] + done.stdout.decode(errors="replace")[-800:])
    return [json.loads(line) for line in file.read_text().splitlines()]


def measure(runners, tests, rounds):
    for number in range(rounds):
        for place in range(len(runners)):
            runner = runners[(place + number) % len(runners)]
            cpu, begun = cpu_of_children(), time.monotonic()
            runner.once()
            runner.wall.append(time.monotonic() - begun)
            runner.cpu.append((cpu_of_children() - cpu) * 1e3 / tests)


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--tests", type=int, default=2000)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--peers", type=pathlib.Path, default=ROOT / "target/peers", help="the folder of prepare.sh")
    words.add_argument("--v8", type=pathlib.Path, action="append", default=[], help="a V8 checkout whose runner is to be compared")
    words.add_argument("--v8-python", default="python3", help="the Python it needs")
    words.add_argument("--json", type=pathlib.Path)
    words.add_argument("--bench", type=pathlib.Path, help="the built benchmark `mesh`, instead of `cargo bench`")
    words.add_argument("--without-ours", action="store_true")
    options = words.parse_args()
    folders = [options.peers / "bin", options.peers / "python/bin"]

    def find(name):
        program = shutil.which(name, path=os.pathsep.join(map(str, folders))) or shutil.which(name)
        if not program:
            raise LookupError(f"{name} is not here; benches/peers/prepare.sh fetches it")
        return program

    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        null = compiled(place)
        runners, missing, cluster = [xargs(place, null, options.tests)], [], []
        makers = [("GNU parallel", parallel), ("lit", lit), ("pytest-xdist", xdist), ("cargo-nextest", nextest)]
        for name, make in makers:
            try:
                made = make(place, null, options.tests, find)
                runners.extend(made if isinstance(made, list) else [made])
            except (LookupError, RuntimeError, OSError) as why:
                missing.append((name, str(why)))
        for number, checkout in enumerate(options.v8):
            sub = place / f"v8-{number}"
            sub.mkdir()
            runners.append(v8(sub, null, options.tests, checkout, options.v8_python))
        try:
            cluster.append(Maelstrom(place, null, options.tests, find))
            runners.append(cluster[0].runner)
        except (LookupError, RuntimeError, OSError) as why:
            missing.append(("Maelstrom", str(why)))
        try:
            for runner in list(runners):
                try:
                    # Once unmeasured: caches of bytecode, layers, durations.
                    runner.once()
                except RuntimeError as why:
                    runners.remove(runner)
                    missing.append((runner.name, str(why)))
            measure(runners, options.tests, options.rounds)
        finally:
            for one in cluster:
                one.end()
        table = rows(runners, options.tests)
        if not options.without_ours:
            for line in ours(place, options.tests, options.rounds, options):
                figures = line["figures"]
                if line["what"] != "floor":
                    table.append({"runner": f"testmesh, {line['what']}: {figures['command']}", "version": first_line(
                        ["git", "-C", str(ROOT), "describe", "--always"]), "cpu_ms": figures["cpu_ms"],
                        "above_floor_ms": figures["above_floor_ms"], "tests_per_s": figures["tests_per_s"]})
    show(table, missing, options)


def rows(runners, tests):
    table, floors = [], {}
    for runner in runners:
        cpu = statistics.median(runner.cpu)
        if "floor" in runner.name:
            floors[runner.name] = cpu
    for runner in runners:
        cpu = statistics.median(runner.cpu)
        floor = floors.get(runner.floor, floors.get("xargs -P2 -n1 (floor)"))
        floor = cpu if runner.name in floors else floor
        table.append({"runner": runner.name, "version": runner.version, "cpu_ms": cpu, "above_floor_ms": cpu - floor,
                      "tests_per_s": tests / statistics.median(runner.wall)})
    return table


def show(table, missing, options):
    print(f"{options.tests} null tests, two at a time, medians of {options.rounds} rounds, on {os.cpu_count()} cores\n")
    print("| runner | version | CPU ms a test | above its floor | tests/s |\n|---|---|---|---|---|")
    for row in sorted(table, key=lambda row: row["above_floor_ms"]):
        print(f"| {row['runner']} | {row['version']} | {row['cpu_ms']:.2f} | {row['above_floor_ms']:.2f} | {row['tests_per_s']:.0f} |")
    for name, why in missing:
        print(f"\nnot compared: {name}: {why.strip().splitlines()[0] if why.strip() else 'no reason given'}")
    if options.json:
        rest = {"tests": options.tests, "rounds": options.rounds, "cores": os.cpu_count()}
        options.json.write_text(json.dumps(dict(rest, rows=table, missing=missing), indent=1) + "\n")


if __name__ == "__main__":
    main()
