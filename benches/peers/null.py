"""What a test that does nothing costs, two at a time, by the runner."""

import json
import os
import pathlib
import shutil

import maelstrom
import nodes
from measure import Missing, Runner, first_line, run

FLOOR = "xargs -P2 -n1 (floor)"


def words(options):
    options.add_argument("--tests", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--v8", type=pathlib.Path, action="append", default=[], help="a checkout whose runner is compared")
    options.add_argument("--v8-python", default="python3", help="the Python that it needs")


def compare(bench):
    tests, place = bench.options.tests, bench.folder("null")
    null = nodes.shell(place)
    makers = [("GNU parallel", parallel), ("lit", lit), ("pytest-xdist", xdist), ("cargo-nextest", nextest),
              ("Maelstrom", cluster), ("testmesh", ours)]
    makers += [(f"the runner of {checkout}", v8(checkout)) for checkout in bench.options.v8]
    runners = [xargs(place, null, tests)]
    for name, make in makers:
        runners += bench.attempt(name, make, bench, place, null, tests) or []
    runners = bench.rounds(runners, bench.options.rounds)
    table(bench, runners, tests)


def table(bench, runners, tests):
    cost = {runner.name: runner.cpu_seconds() * 1e3 / tests for runner in runners}
    own = [cost[runner.name] for runner in runners if runner.name.startswith("testmesh, alone")]
    rows = []
    for runner in runners:
        cpu, floor = cost[runner.name], cost.get(runner.floor or runner.name)
        rows.append({"runner": runner.name, "version": runner.version, "tests": tests, "cpu_ms": cpu,
                     "above_floor_ms": cpu - floor, "of_floor": cpu / floor, "of_testmesh": cpu / own[0] if own else None,
                     "tests_per_s": tests / runner.seconds()})
    rows.sort(key=lambda row: row["above_floor_ms"])
    columns = [("runner", "runner", ""), ("CPU ms a test", "cpu_ms", ".2f"), ("above its floor", "above_floor_ms", ".2f"),
               ("x its floor", "of_floor", ".2f"), ("x testmesh alone", "of_testmesh", ".2f"),
               ("tests/s", "tests_per_s", ".0f"), ("version", "version", "")]
    bench.table("null", f"{tests} tests that do nothing, two at a time, medians of {bench.options.rounds} rounds", "runner",
                columns, rows)


def xargs(place, null, tests):
    feed = b"test/mjsunit/t.js\n" * tests
    return Runner(FLOOR, first_line(["xargs", "--version"]), lambda: run(["xargs", "-P2", "-n1", null, "--test"], place, feed=feed))


def ours(bench, place, null, tests):
    tree = nodes.checkout(place / "v8", null, map(nodes.name, range(tests)))
    pair = nodes.Mesh(bench, place / "pair", [2, 2])
    ones = nodes.Mesh(bench, place / "ones", [1, 1, 1])

    def way(name, mesh, *given):
        return Runner(f"testmesh, {name}", bench.version(), lambda: mesh.run(tree, *given),
                      lambda: pair.servers.pids() + ones.servers.pids(), FLOOR)

    return [way("alone: --nonetwork -j2", pair, "--nonetwork", "-j2"),
            way("2 slots of this machine's node", pair, "-j2", "--peers=nobody"),
            way("2 slots of one peer", pair, "--remote-only"),
            way("three nodes, one slot each", ones, "-j1", "--peers=n2,n3")]


def parallel(bench, place, null, tests):
    program, feed = bench.find("parallel"), b"test/mjsunit/t.js\n" * tests
    return [Runner("GNU parallel -j2", first_line([program, "--version"]), lambda: run(
        [program, "--will-cite", "-j2", null, "--test"], place, {"HOME": str(place)}, feed), floor=FLOOR)]


def lit(bench, place, null, tests):
    program, folder = bench.find("lit"), place / "lit"
    lit_tree(folder, [f"RUN: {null} --test\n"] * tests)
    return [Runner("lit -j2", first_line([program, "--version"]), lambda: run([program, "-q", "-j2", folder], place), floor=FLOOR)]


def lit_tree(folder, tests):
    folder.mkdir()
    (folder / "lit.cfg.py").write_text(
        "import lit.formats\nconfig.name = 'null'\nconfig.test_format = lit.formats.ShTest(execute_external=False)\n"
        f"config.suffixes = ['.test']\nconfig.test_source_root = config.test_exec_root = {str(folder)!r}\n")
    for number, text in enumerate(tests):
        (folder / f"t{number:06}.test").write_text(text)


def xdist(bench, place, null, tests):
    program, folder = bench.find("pytest"), place / "xdist"
    xdist_tree(folder, [[str(null), "--test"]] * tests)
    return [Runner("pytest-xdist -n2", xdist_version(bench), lambda: run(
        [program, "-q", "-n2", "-p", "no:cacheprovider", folder], place), floor=FLOOR)]


def xdist_tree(folder, commands):
    folder.mkdir()
    (folder / "test_null.py").write_text(
        f"import json, pathlib, subprocess, pytest\n"
        f"COMMANDS = json.loads(pathlib.Path(__file__).with_name('commands.json').read_text())\n"
        f"@pytest.mark.parametrize('number', range({len(commands)}))\n"
        f"def test(number): subprocess.run(COMMANDS[number], check=True, capture_output=True)\n")
    (folder / "commands.json").write_text(json.dumps(commands))


def xdist_version(bench):
    listed = run([pathlib.Path(bench.find("pytest")).parent / "pip", "list"], bench.place)
    versions = dict(line.split()[:2] for line in listed.splitlines() if len(line.split()) > 1)
    if "pytest-xdist" not in versions:
        raise Missing("pytest-xdist is not here; benches/peers/prepare.sh fetches it")
    return f"pytest-xdist {versions['pytest-xdist']}, pytest {versions.get('pytest', '?')}"


def nextest(bench, place, null, tests):
    """A test binary with as many names, since nextest runs nothing else; its own start is its floor."""
    program, crate = bench.find("cargo-nextest"), place / "nextest"
    env, binary = nextest_crate(crate, tests)
    words = [program, "nextest", "run", "--release", "--offline", "--test-threads", "2"]
    version, feed = first_line([program, "--version"]), b"t00000\n" * tests
    floor = "xargs -P2 -n1 of nextest's test binary (its floor)"
    single = dict(env, NEXTEST_DOUBLE_SPAWN="0")
    return [Runner(floor, "", lambda: run(["xargs", "-P2", "-n1", binary, "--exact"], place, feed=feed)),
            Runner("cargo-nextest, NEXTEST_DOUBLE_SPAWN=0", version, lambda: run(words, crate, single), floor=floor),
            Runner("cargo-nextest", version, lambda: run(words, crate, env), floor=floor)]


def nextest_crate(crate, tests):
    """Builds a crate with a test binary that has as many names; the environment it wants, and the binary."""
    (crate / "tests").mkdir(parents=True)
    (crate / "src").mkdir()
    (crate / ".config").mkdir()
    (crate / "src/lib.rs").write_text("")
    (crate / "Cargo.toml").write_text(
        '[package]\nname = "null"\nversion = "0.1.0"\nedition = "2021"\n[[test]]\nname = "null"\nharness = false\n[workspace]\n')
    (crate / "tests/null.rs").write_text(
        "fn main() {\n    let words: Vec<String> = std::env::args().collect();\n"
        '    let has = |word: &str| words.iter().any(|given| given == word);\n'
        '    if has("--list") && !has("--ignored") {\n'
        f'        for number in 0..{tests} {{ println!("t{{number:05}}: test"); }}\n    }}\n}}\n')
    (crate / ".config/nextest.toml").write_text("[profile.default]\nstatus-level = 'none'\nfinal-status-level = 'none'\n")
    env = {"CARGO_TARGET_DIR": str(crate / "target"), "NEXTEST_HIDE_PROGRESS_BAR": "1"}
    run(["cargo", "build", "--release", "--tests", "--offline"], crate, env)
    built = (crate / "target/release/deps").glob("null-*")
    return env, next(path for path in built if os.access(path, os.X_OK) and not path.suffix)


def cluster(bench, place, null, tests):
    made = maelstrom.Cluster(bench, place / "maelstrom")
    made.worker(2)
    jobs = made.jobs("null", null, ["--test"] * tests)
    return [Runner("Maelstrom, broker and one worker with 2 slots", made.version, lambda: made.run(jobs), made.servers.pids, FLOOR)]


def v8(checkout):
    """The runner of a checkout over a tree of our own with as many empty tests."""
    def make(bench, place, null, tests):
        number = bench.options.v8.index(checkout)
        command, version, tree = v8_tree(bench, checkout, place / f"v8-own-{number}", null)
        for test in range(tests):
            (tree / "test/mjsunit" / nodes.name(test)).write_text("// nothing\n")
        return [Runner("V8's own run-tests.py -j2", version, lambda: run([*command, "mjsunit"], tree), floor=FLOOR)]
    return make


V8_FLAGS = """
    is_debug dcheck_always_on is_asan is_cfi is_clang is_component_build is_gcov_coverage is_msan is_tsan is_ubsan_vptr
    v8_enable_i18n_support v8_enable_verify_predictable v8_use_snapshot v8_enable_verify_csa v8_enable_lite_mode
    v8_enable_pointer_compression v8_enable_concurrent_marking v8_enable_third_party_heap v8_enable_webassembly
    v8_enable_single_generation v8_control_flow_integrity v8_dict_property_const_tracking v8_enable_sandbox
    v8_enable_shared_ro_heap""".split()


def v8_tree(bench, checkout, tree, null):
    """The runner's files in a tree of their own with a build: the command, the version and the tree."""
    for name in ("mjsunit", "test262"):
        (tree / "test" / name).mkdir(parents=True)
        (tree / f"test/{name}/{name}.status").write_text("[[ALWAYS, {}]]\n")
        for file in (checkout / "test" / name).glob("*.py"):
            shutil.copy(file, tree / "test" / name)
    shutil.copytree(checkout / "tools", tree / "tools", ignore=shutil.ignore_patterns("clang", "turbolizer", "*.js"))
    for name in ("include", "testing"):
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, tree / name)
    for name in ("test/mjsunit/mjsunit.js", "test/__init__.py"):
        if (checkout / name).is_file():
            shutil.copy(checkout / name, tree / name)
    (tree / "out/x64.release").mkdir(parents=True)
    shutil.copy(null, tree / "out/x64.release/d8")
    config = dict(nodes.BUILD, **{flag: flag == "v8_use_snapshot" for flag in V8_FLAGS})
    (tree / "out/x64.release/v8_build_config.json").write_text(json.dumps(config))
    numbers = {}
    for line in (checkout / "include/v8-version.h").read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "#define":
            numbers[words[1]] = words[2]
    version = ".".join(numbers.get(f"V8_{part}", "?") for part in ("MAJOR_VERSION", "MINOR_VERSION", "BUILD_NUMBER"))
    old = int(numbers.get("V8_MAJOR_VERSION", "0")) < 7
    build = ["--arch=x64", "--mode=release", "--outdir=out", "--no-presubmit", "--nonetwork"] if old else ["--outdir=out/x64.release"]
    command = [bench.options.v8_python, "tools/run-tests.py", *build, "-j2", "--progress=dots", "--variants=default"]
    return command, f"V8 {version}, {first_line([bench.options.v8_python, '--version'])}", tree
