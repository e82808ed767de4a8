"""A Maelstrom cluster on loopback: one broker and workers, each with a cache of its own."""

import json
import re

from measure import Servers, first_line, run


class Cluster:
    def __init__(self, bench, place):
        self.bench, self.version = bench, first_line([bench.find("maelstrom-broker"), "--version"])
        self.servers = bench.keep(Servers(place))
        self.count = 0
        self.broker = self._start("broker", "--port", "0", "--log-level", "info")
        self.port = self.servers.wait("Maelstrom's broker says where it listens", self._listening, 20)

    def _start(self, name, *words):
        part = name.split("-")[0]
        return self.servers.start(name, [self.bench.find(f"maelstrom-{part}"), *words], self._env(name))

    def _env(self, name):
        home = self.servers.place / name
        home.mkdir(exist_ok=True)
        return {"HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_STATE_HOME": str(home), "XDG_DATA_HOME": str(home),
                "XDG_RUNTIME_DIR": str(home), "XDG_CONFIG_HOME": str(home)}

    def _listening(self):
        found = re.search(r"\baddr: \S*:(\d+),", self.servers.said("broker"))
        return found and found.group(1)

    def worker(self, slots):
        """Starts one more worker."""
        self.count += 1
        name = f"worker-{self.count}"
        return self._start(name, "--broker", f"127.0.0.1:{self.port}", "--slots", slots, "--log-level", "info")

    def jobs(self, name, program, tests):
        """A file of jobs, one an argument, that run a program in containers with nothing else in them."""
        layer = {"paths": [str(program)], "strip_prefix": str(program.parent)}
        file = self.servers.place / f"{name}.json"
        lines = (json.dumps({"program": f"/{program.name}", "arguments": [test], "layers": [layer]}) for test in tests)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    def words(self, file):
        words = [self.bench.find("maelstrom-run"), "--broker", f"127.0.0.1:{self.port}", "--file", file]
        return words, self._env("run")

    def run(self, file):
        words, env = self.words(file)
        return run(words, self.servers.place, env)
