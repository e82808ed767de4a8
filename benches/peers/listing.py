"""The tests of a large tree listed: seconds beside a plain walk that reads the head of every file."""

import os
import pathlib

import nodes
import null
from measure import Runner, first_line, run

# Tests in a folder, about as in test262.
FOLDER = 25


def words(options):
    options.add_argument("--files", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--v8", type=pathlib.Path, action="append", default=[], help="a checkout whose runner is compared")
    options.add_argument("--v8-python", default="python3", help="the Python that it needs")


def compare(bench):
    files, place = bench.options.files, bench.folder("listing")
    tree = plant(place / "v8", files)
    makers = [("testmesh", ours), ("cargo-nextest", nextest), ("lit", lit), ("pytest", pytest)]
    makers += [(f"the runner of {checkout}", v8(checkout)) for checkout in bench.options.v8]
    runners = [Runner("a walk that reads the head of each file (floor)", "", lambda: walk(tree / "test/test262/data/test"))]
    for name, make in makers:
        made = bench.attempt(name, make, bench, place, tree, files)
        runners += [made] if made else []
    runners = bench.rounds(runners, bench.options.rounds)
    floor = runners[0].seconds()
    rows = [{"lister": runner.name, "version": runner.version, "files": files, "seconds": runner.seconds(),
             "of_floor": runner.seconds() / floor} for runner in runners]
    rows.sort(key=lambda row: row["seconds"])
    columns = [("lister", "lister", ""), ("seconds", "seconds", ".3f"), ("x the walk", "of_floor", ".1f"), ("version", "version", "")]
    bench.table("listing", f"{files} tests listed, medians of {bench.options.rounds} rounds", "lister", columns, rows)


def plant(root, files):
    """Files as test262 has them, without a build."""
    for index in range(files):
        folder = root / f"test/test262/data/test/f{index // FOLDER}"
        if index % FOLDER == 0:
            folder.mkdir(parents=True)
        flags = ("", "flags: [noStrict]\n", "flags: [onlyStrict]\n")[index % 3]
        (folder / f"t{index}.js").write_text(f"// A test.\n/*---\ndescription: number {index}\n{flags}---*/\nassert(true);\n")
    (root / "test/test262/test262.status").write_text("[[ALWAYS, {'f1/*': [SLOW]}]]")
    (root / "include").mkdir()
    (root / "include/v8-version.h").write_text("#define V8_MAJOR_VERSION 15\n#define V8_MINOR_VERSION 7\n")
    return root


def walk(folder):
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                walk(entry.path)
            else:
                descriptor = os.open(entry.path, os.O_RDONLY)
                os.read(descriptor, 4096)
                os.close(descriptor)


def ours(bench, _place, tree, _files):
    program = bench.ours("run-tests")
    return Runner("testmesh: run-tests --list test262", bench.version(),
                  lambda: run([program, f"--workspace={tree}", "--engine=embedded", "--list", "test262"], tree))


def nextest(bench, place, _tree, files):
    program = bench.find("cargo-nextest")
    env, _ = null.nextest_crate(place / "nextest", files)
    words = [program, "nextest", "list", "--release", "--offline"]
    return Runner("cargo-nextest list: as many names of one binary", first_line([program, "--version"]),
                  lambda: run(words, place / "nextest", env))


def lit(bench, place, _tree, files):
    program = bench.find("lit")
    null.lit_tree(place / "lit", ["RUN: true\n"] * files)
    return Runner("lit --show-tests: as many files", first_line([program, "--version"]),
                  lambda: run([program, "--show-tests", place / "lit"], place))


def pytest(bench, place, _tree, files):
    program, folder = bench.find("pytest"), place / "pytest"
    folder.mkdir()
    for index in range(0, files, FOLDER):
        tests = "".join(f"def test_{number}(): pass\n" for number in range(index, min(index + FOLDER, files)))
        (folder / f"test_f{index // FOLDER}.py").write_text(tests)
    return Runner(f"pytest --collect-only: {FOLDER} tests a file", first_line([program, "--version"]),
                  lambda: run([program, "-q", "--collect-only", "-p", "no:cacheprovider", folder], place))


def v8(checkout):
    """V8's own runner has no list: one test of the suite is run, for which it lists all."""
    def make(bench, place, tree, _files):
        program = nodes.shell(bench.folder("shell"))
        command, version, own = null.v8_tree(bench, checkout, place / f"v8-own-{bench.options.v8.index(checkout)}", program)
        (own / "test/test262/data").mkdir()
        os.symlink(tree / "test/test262/data/test", own / "test/test262/data/test")
        # What its suite takes from test262 itself, where the checkout has it.
        for name in ("harness", "local-tests", "data/tools", "data/harness"):
            if (checkout / "test/test262" / name).exists():
                os.symlink((checkout / "test/test262" / name).resolve(), own / "test/test262" / name)
        return Runner("V8's own run-tests.py: one test run, all listed", version, lambda: run([*command, "test262/f0/t0"], own))
    return make
