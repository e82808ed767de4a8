"""A large file to many receivers: seconds, CPU, and how often its bytes leave the sender."""

import json
import pathlib
import random
import re
import socket
import subprocess
import threading
import time

from hosts import Hosts
from icecream import tarball
from measure import ROOT, Missing, cpu_of_children, cpu_of_trees, first_line, run

STEPS = ("first", "unchanged", "forty places changed")


def words(options):
    options.add_argument("--receivers", type=int, default=8)
    options.add_argument("--megabytes", type=int, default=100)
    options.add_argument("--bench", type=pathlib.Path, help="our built benchmark `mesh`, instead of `cargo bench`")


def compare(bench):
    options, place = bench.options, bench.folder("ship")
    source = Source(place, options.megabytes << 20)
    plain, cpu = min(plain_copy(source.file, place / "plain") for _ in range(3))
    rows = [{"tool": "one plain copy over TCP", "step": "first", "seconds": plain, "cpu_s": cpu, "of_size": 1.0}]
    rows += bench.attempt("testmesh", ours, bench) or []
    hosts = bench.attempt("scp, rsync", Hosts, bench, place, options.receivers)
    for name, tool in (("scp", Scp), ("rsync", Rsync)):
        rows += hosts and bench.attempt(name, copies, name, tool, bench, source, hosts) or []
    rows += bench.attempt("icecream's environment tarball", tarball, bench, place, source.file, options.receivers) or []
    for row in rows:
        row.update(of_plain=row["seconds"] / plain, receivers=options.receivers, bytes=source.size)
    columns = [("tool", "tool", ""), ("step", "step", ""), ("seconds", "seconds", ".2f"), ("x one plain copy", "of_plain", ".2f"),
               ("CPU s", "cpu_s", ".2f"), ("x its size leaves", "of_size", ".4f"), ("version", "version", "")]
    title = f"{options.megabytes} MB that do not compress to {options.receivers} receivers on this machine, all at once"
    bench.table("ship", title, "tool", columns, rows)


class Source:
    """The file that is sent."""

    def __init__(self, place, size):
        self.size, self.random = size, random.Random(1)
        self.file = place / "sent"
        self.file.write_bytes(self.random.randbytes(size))

    def step(self, step):
        """As a linker does after an edit: places where something was added, taken away or changed."""
        if step != STEPS[2]:
            return
        old = self.file.read_bytes()
        parts, begin = [], 0
        for place in range(1, 41):
            at = place * len(old) // 41
            parts += [old[begin:at], self.random.randbytes(place * 13 % 400)]
            begin = at + place * 7 % 300
        self.file.write_bytes(b"".join([*parts, old[begin:]]))


def plain_copy(file, to):
    """Seconds, and those of CPU, for the bytes through one connection into a file."""
    def send(address):
        with socket.create_connection(address) as stream, open(file, "rb") as content:
            stream.sendfile(content)

    with socket.create_server(("127.0.0.1", 0)) as server, open(to, "wb", buffering=0) as out:
        begun, cpu = time.monotonic(), time.process_time()
        sender = threading.Thread(target=send, args=[server.getsockname()])
        sender.start()
        with server.accept()[0] as stream:
            while block := stream.recv(256 << 10):
                out.write(block)
        sender.join()
        return time.monotonic() - begun, time.process_time() - cpu


def ours(bench):
    file = bench.place / "ship.json"
    program = [bench.options.bench.resolve()] if bench.options.bench else ["cargo", "bench", "--quiet", "--bench", "mesh", "--"]
    run([*program, "ship", "--nodes", bench.options.receivers, "--megabytes", bench.options.megabytes, "--json", file], ROOT,
        {"TESTMESH_PROGRAMS": str(bench.options.programs)})
    rows = []
    for step, line in zip(STEPS, file.read_text().splitlines()):
        figures = json.loads(line)["figures"]
        rows.append({"tool": "testmesh", "version": bench.version(), "step": step, "seconds": figures["seconds"],
                     "cpu_s": figures["cpu_s"], "of_size": figures["ratio_bytes"]})
    return rows


def copies(name, tool, bench, source, hosts):
    """Copies to all hosts at once, as often as there are steps."""
    made, rows = tool(bench, hosts), []
    for step in STEPS:
        source.step(step)
        cpu, begun = cpu_of_children() + cpu_of_trees(hosts.servers.pids()), time.monotonic()
        running = [subprocess.Popen(made.words(source.file, host), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True) for host in hosts.names]
        said = [process.communicate()[0] for process in running]
        seconds = time.monotonic() - begun
        cpu = cpu_of_children() + cpu_of_trees(hosts.servers.pids()) - cpu
        if any(process.returncode for process in running):
            raise Missing(f"{name} failed: {said[0][-500:]}")
        rows.append({"tool": f"{name} to each", "version": made.version, "step": step, "seconds": seconds, "cpu_s": cpu,
                     "of_size": sum(map(made.sent, said)) / source.size})
    return rows


class Scp:
    def __init__(self, bench, hosts):
        self.program, self.hosts, self.version = bench.find("scp"), hosts, hosts.version

    def words(self, file, host):
        self.bytes = file.stat().st_size
        return [self.program, "-q", "-F", self.hosts.config, file, f"{host}:{file}-scp-{host}"]

    def sent(self, _said):
        return self.bytes


class Rsync:
    def __init__(self, bench, hosts):
        self.program, self.hosts = bench.find("rsync"), hosts
        self.version = first_line([self.program, "--version"])

    def words(self, file, host):
        # Without --times, an unchanged file would be compared as a whole.
        return [self.program, "--stats", "--times", f"--rsh={self.hosts.ssh}", f"--rsync-path={self.program}", file,
                f"{host}:{file}-rsync-{host}"]

    @staticmethod
    def sent(said):
        return int(re.search(r"Total bytes sent: ([\d,]+)", said).group(1).replace(",", ""))
