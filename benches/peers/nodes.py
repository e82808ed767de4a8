"""Our own nodes: real processes on loopback that trust each other, and test trees for them."""

import json
import os
import subprocess

from measure import PATIENCE, ROOT, Missing, Servers, run

BUILD = {"current_cpu": "x64", "target_cpu": "x64", "v8_current_cpu": "x64", "v8_target_cpu": "x64", "is_debug": False,
         "dcheck_always_on": False, "is_component_build": False, "v8_enable_i18n_support": True}


def shell(place):
    """The program that all runners run: it does nothing, or sleeps as long as its argument says (`t-100ms.js`)."""
    program = place / "null"
    for link in (["-static"], []):
        words = [os.environ.get("CC", "cc"), "-O2", "-w", *link, "-o", program, ROOT / "benches/common/shell.c"]
        if subprocess.run(words, stderr=subprocess.DEVNULL).returncode == 0:
            return program
    raise Missing("a C compiler is needed; $CC names it")


def name(number, millis=0):
    return f"t{number:06}-{millis}ms.js" if millis else f"t{number:06}.js"


def checkout(place, program, names):
    """A small V8 checkout with a build whose shell is the program."""
    for folder in ("include", "tools", "test/mjsunit", "out/x64.release"):
        (place / folder).mkdir(parents=True)
    (place / "include/v8-version.h").write_text(
        "#define V8_MAJOR_VERSION 12\n#define V8_MINOR_VERSION 6\n#define V8_BUILD_NUMBER 0\n")
    (place / "tools/run-tests.py").write_text("# The runner of the tree.\n")
    (place / "test/mjsunit/mjsunit.js").write_text("")
    (place / "test/mjsunit/mjsunit.status").write_text("[[ALWAYS, {}]]\n")
    for test in names:
        (place / "test/mjsunit" / test).write_text(f"// {test}\n")
    (place / "out/x64.release/v8_build_config.json").write_text(json.dumps(BUILD))
    os.link(program, place / "out/x64.release/d8")
    return place


class Mesh:
    """Nodes that trust each other; the first is the client's."""

    def __init__(self, bench, place, slots):
        self.bench, self.servers = bench, bench.keep(Servers(place))
        self.names = [f"n{number + 1}" for number in range(len(slots))]
        keys = {name: self._setup(name, slots) for name, slots in zip(self.names, slots)}
        for name in self.names:
            approved = [f"{keys[other]} submit,work 3 {other}\n" for other in self.names if other != name]
            with open(self.home(name) / "allowlist", "a", encoding="utf-8") as file:
                file.writelines(approved)
        addresses = []
        for name in self.names:
            self._add(name, f"peers = {json.dumps(addresses)}\n")
            self.begin(name)
            addresses += self.servers.wait(f"node {name} listens", lambda: self.status(name).get("listen"), PATIENCE)
        for name in self.names:
            self.servers.wait(f"node {name} and all others trust each other", lambda: self.mutual(name) == len(slots) - 1, PATIENCE)

    def _setup(self, name, slots):
        self._ctl(name, "setup", "--name", name, "--mesh", f"bench-{os.getpid()}")
        self._add(name, f'\nmdns = false\nlisten = ["/ip4/127.0.0.1/tcp/0"]\nslots = {slots}\n')
        lines = self._ctl(name, "key", "export").splitlines()
        return next(line.removeprefix("key: ") for line in lines if line.startswith("key: "))

    def _add(self, name, text):
        with open(self.home(name) / "config.toml", "a", encoding="utf-8") as file:
            file.write(text)

    def _ctl(self, name, *words):
        return run([self.bench.ours("meshctl"), "--home", self.home(name), *words], self.servers.place)

    def home(self, name):
        return self.servers.place / name

    def begin(self, name):
        words = [self.bench.ours("meshd"), "--home", self.home(name)]
        return self.servers.start(name, words)

    def status(self, name):
        try:
            return json.loads(self._ctl(name, "status", "--json"))
        except Missing:
            return {}

    def mutual(self, name):
        return self.status(name).get("mutual", -1)

    def words(self, tree, *words):
        """A run of all tests of a tree from the first node."""
        return run_tests(self.bench, tree, *words), {"TESTMESH_HOME": str(self.home(self.names[0]))}

    def run(self, tree, *words):
        command, env = self.words(tree, *words)
        return run(command, tree, env)


def run_tests(bench, tree, *words):
    return [bench.ours("run-tests"), f"--workspace={tree}", "--outdir=out/x64.release", "--variants=default",
            "--min-remote=0", *words, "mjsunit"]
