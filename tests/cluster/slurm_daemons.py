"""The daemons that Slurm on one host needs: how they are configured, and started one after the other."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from .host import LOOPBACK, Server, answers, find, output_of

PACKAGES = ("slurm-wlm", "slurmdbd", "munge", "mariadb-server-core", "mariadb-client-core")
BINARIES = ("munged", "mariadbd", "mariadb-install-db", "my_print_defaults", "slurmdbd", "slurmctld", "slurmd", "sacct")
NODES = ("n1", "n2")

# NoInAddrAny makes the daemons listen on the address of the host's own name alone.
SLURM_CONF = """\
ClusterName=prenda
SlurmctldHost={host}({address})
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MailProg=/bin/true
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={address}
AccountingStoragePort={accounting}
AccountingStoragePass={folder}/munge.socket
NodeName=n1,n2 NodeHostname={host} NodeAddr={address} Port={first},{second} CPUs=1 RealMemory={memory}
PartitionName=all Nodes=ALL Default=YES MaxTime=60
"""

SLURMDBD_CONF = """\
DbdHost={host}
DbdAddr={address}
DbdPort={accounting}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""

# One statement a line is all that MariaDB reads.
MARIADB_SETUP = """\
CREATE DATABASE slurm;
GRANT ALL ON slurm.* TO slurm@'127.0.0.1' IDENTIFIED BY '{password}';
"""


@dataclass(frozen=True)
class Site:
    """Where the daemons keep their files, where they listen, and what a node offers."""

    folder: Path
    host: str
    address: str
    controller: int
    accounting: int
    database: int
    first: int
    second: int
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    memory: int = psutil.virtual_memory().total // len(NODES) // 2**20

    def configure(self) -> None:
        """Writes what the daemons read; nobody else may."""
        files = {"slurm.conf": SLURM_CONF, "slurmdbd.conf": SLURMDBD_CONF, "mariadb.sql": MARIADB_SETUP}
        for name, template in files.items():
            self._write(name, template.format(**asdict(self)).encode())
        self._write("munge.key", secrets.token_bytes(128))
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()

    def _write(self, name: str, content: bytes) -> None:
        (self.folder / name).touch(0o600)
        (self.folder / name).write_bytes(content)


class Daemons:
    """Starts each daemon when the one that it needs serves; the caller ends them, the last one first."""

    def __init__(self, site: Site, environment: dict[str, str], started: Callable[[Server], object]) -> None:
        self.site = site
        self.environment = environment
        self.started = started

    def start(self, ready: Callable[[], bool]) -> None:
        self._start_mariadb()
        self._start_munge()
        listens = (self.site.address, self.site.accounting)
        self._run("slurmdbd", "-D").wait_until(lambda: answers(*listens))
        controller = self._run("slurmctld", "-D")
        for node in NODES:
            self._run("slurmd", "-D", "-N", node)
        controller.wait_until(ready)

    def _start_mariadb(self) -> None:
        folder = self.site.folder
        options = ["--no-defaults", f"--datadir={folder}/mariadb", "--user=root", "--skip-name-resolve"]
        output_of([str(find("mariadb-install-db")), *options, "--skip-test-db"])
        options += [f"--socket={folder}/mariadb.socket", f"--pid-file={folder}/mariadb.pid"]
        options += [f"--bind-address={LOOPBACK}", f"--port={self.site.database}"]
        server = self._run("mariadbd", *options, f"--init-file={folder}/mariadb.sql")
        server.wait_until(lambda: answers(LOOPBACK, self.site.database))

    def _start_munge(self) -> None:
        socket = self.site.folder / "munge.socket"
        files = [f"--{kind}-file={self.site.folder}/munge.{kind}" for kind in ("key", "log", "pid", "seed")]
        options = ["--foreground", "--force", f"--socket={socket}", f"--origin={LOOPBACK}"]
        self._run("munged", *options, *files).wait_until(socket.exists)

    def _run(self, binary: str, *arguments: str) -> Server:
        log = self.site.folder / f"{binary}-{secrets.token_hex(4)}.log"
        server = Server([str(find(binary)), *arguments], log, self.environment)
        self.started(server)
        return server
