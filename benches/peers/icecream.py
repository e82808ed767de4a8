"""icecream on this machine: a scheduler and daemons in a network of their own, for they call each other by broadcast."""

import os
import pwd
import shutil
import subprocess
import time

from measure import Missing, Servers, cpu_of_children, cpu_of_trees, first_line, run

PORT, NET = 8767, "bench"
# Seconds for a tarball to all daemons.
LIMIT = 60
# Whom the daemons become.
USER = "icecc" if any(user.pw_name == "icecc" for user in pwd.getpwall()) else "nobody"


class Cluster:
    """A scheduler, a daemon for this machine's compiler, and others that compile for it."""

    def __init__(self, bench, place, count):
        if os.getuid():
            raise Missing("its daemons change their root: only root can measure it")
        self.servers, self.icecc = bench.keep(Servers(place)), bench.find("icecc")
        self.version = first_line([self.icecc, "--version"])
        # The daemons give their rights up and still need their folders.
        for folder in (place, *place.parents):
            if folder.is_relative_to(bench.place):
                folder.chmod(0o755)
        view = "ip link set lo up && mount -t tmpfs none /run && exec"
        scheduler = f"{bench.find('icecc-scheduler')} -p {PORT} -n {NET} -vvv"
        self.scheduler = self.servers.start("scheduler", ["unshare", "--net", "--mount", "sh", "-c", f"{view} {scheduler}"])
        self.inside = ["nsenter", f"--target={self.scheduler.pid}", "--net", "--mount", "--"]
        self.servers.wait("icecream's scheduler answers", self._listens, 20)
        self.names = [f"remote{number + 1}" for number in range(count)]
        self.daemons = [self._daemon(bench, name, "-p", 10300 + number, "-m", 1) for number, name in enumerate(self.names)]
        self._daemon(bench, "here", "--no-remote", "-m", count)
        self.servers.wait("icecream's scheduler knows its daemons", self._known, 30)

    def _known(self):
        said = self.servers.said("scheduler")
        return all(f"login {name} " in said for name in [*self.names, "here"])

    def _listens(self):
        return f":{PORT:04X} " in run([*self.inside, "cat", "/proc/net/tcp", "/proc/net/tcp6"], self.servers.place)

    def _daemon(self, bench, name, *words):
        base = self.servers.place / f"envs-{name}"
        for folder in (base, self.servers.place / f"at-{name}"):
            folder.mkdir()
            shutil.chown(folder, USER)
        started = [*self.inside, bench.find("iceccd"), "-s", f"127.0.0.1:{PORT}", "-n", NET, "-N", name, "-b", base, "-vvv", *words]
        return self.servers.start(name, started, {"ICECC_TEST_SOCKET": self._socket(name), "ICECC_TESTS": "1"})

    def _socket(self, name):
        return str(self.servers.place / f"at-{name}/socket")

    def compile(self, tarball, name):
        """An empty C file compiled on one of them, which gets the tarball first if it has not."""
        env = {"ICECC_TEST_SOCKET": self._socket("here"), "ICECC_TEST_REMOTEBUILD": "1",
               "ICECC_PREFERRED_HOST": name, "ICECC_VERSION": str(tarball), "ICECC_DEBUG": "info"}
        words = [*self.inside, self.icecc, "gcc", "-c", self.servers.place / "empty.c", "-o", self.servers.place / f"{name}.o"]
        return subprocess.Popen(list(map(str, words)), env=dict(os.environ, **env), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def tarball(bench, place, file, count):
    """The file in an environment with the compiler, without which icecream ships nothing, to each daemon."""
    place = place / "icecream"
    made = Cluster(bench, place, count)
    (place / "empty.c").write_text("int nothing;\n")
    begun = time.monotonic()
    words = [bench.find("icecc-create-env"), shutil.which("gcc"), "--addfile", f"{file}=/usr/share/shell", "--compression", "none"]
    run(words, place)
    packed = time.monotonic() - begun
    environment = max(place.glob("*.tar"), key=lambda path: path.stat().st_size)
    rows = []
    for step in ("first", "unchanged"):
        cpu, begun = cpu_of_children() + cpu_of_trees(made.servers.pids()), time.monotonic()
        running = [made.compile(environment, name) for name in made.names]
        said = finished(made, running)
        seconds = time.monotonic() - begun
        cpu = cpu_of_children() + cpu_of_trees(made.servers.pids()) - cpu
        unused = [name for name in made.names if not any((place / f"envs-{name}").glob("target=*"))]
        if any(process.returncode for process in running) or unused:
            raise Missing(f"not compiled on {', '.join(unused)}: {said[0][-500:]}")
        rows.append({"tool": "icecream: tarball and an empty C file to each", "version": made.version, "step": step,
                     "seconds": seconds + (packed if step == "first" else 0), "cpu_s": cpu,
                     "of_size": count * environment.stat().st_size / file.stat().st_size if step == "first" else 0})
    return rows


def finished(made, running):
    """What the compilers said; a busy machine's daemons take no work, and the client would wait for minutes."""
    until = time.monotonic() + LIMIT
    try:
        return [process.communicate(timeout=max(0, until - time.monotonic()))[0] for process in running]
    except subprocess.TimeoutExpired:
        told = made.servers.said("scheduler").strip().splitlines()[-1]
        for process in running:
            process.kill()
            process.wait()
        raise Missing(f"not compiled within {LIMIT} s; its daemons take no work while the machine is busy; the scheduler: {told}") from None
