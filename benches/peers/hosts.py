"""Hosts that are this machine: SSH servers on ports of loopback, with keys and settings of their own."""

import getpass
import os
import pwd
import shlex
import socket

from measure import Servers, first_line, free_port, run

SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {place}/host_key
PidFile none
AuthorizedKeysFile {place}/key.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 1000
MaxSessions 1000
UsePAM no
PrintMotd no
Subsystem sftp internal-sftp
"""
CLIENT = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
"""
ALL = """\
Host *
  User {user}
  IdentityFile {place}/key
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile {place}/known
  LogLevel ERROR
"""


class Hosts:
    """So many names that SSH knows, h1, h2 and so on."""

    def __init__(self, bench, place, count):
        program = bench.find("sshd")
        self.version = first_line([bench.find("ssh"), "-V"])
        self.servers = bench.keep(Servers(place))
        for key in ("host_key", "key"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / key], place)
        self.names, self.ports = [f"h{number + 1}" for number in range(count)], [free_port() for _ in range(count)]
        parts = [CLIENT.format(name=name, port=port) for name, port in zip(self.names, self.ports)]
        self.config = place / "config"
        self.config.write_text("".join(parts) + ALL.format(user=getpass.getuser(), place=place), encoding="utf-8")
        self.ssh = f"ssh -F {self.config}"
        view = self._view(place)
        for name, port in zip(self.names, self.ports):
            file = place / f"{name}.conf"
            file.write_text(SERVER.format(port=port, place=place), encoding="utf-8")
            self.servers.start(name, [*view, program, "-D", "-e", "-f", file])
        for name, port in zip(self.names, self.ports):
            self.servers.wait(f"the SSH server {name} answers", lambda: answers(port), 20)
        for name in self.names:
            run([*self.ssh.split(), name, "true"], place)

    @staticmethod
    def _view(place):
        """As root, a server wants a user and a folder of the system: it sees both in a view of its own, where the login
        shell is one that reads no settings of this account, which can cost more than all else."""
        if os.getuid():
            return []
        users = place / "passwd"
        known = [f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::{user.pw_dir}:/bin/sh\n" for user in pwd.getpwall()
                 if user.pw_name != "sshd"]
        users.write_text("".join([*known, "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"]), encoding="utf-8")
        view = f"mount --bind {shlex.quote(str(users))} /etc/passwd && mount -t tmpfs none /run && mkdir -m 755 /run/sshd"
        return ["unshare", "--mount", "sh", "-c", f'{view} && exec "$@"', "sh"]


def answers(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
