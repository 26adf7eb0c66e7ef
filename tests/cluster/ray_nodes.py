"""Two nodes of Ray on one host."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .host import LOOPBACK, Server, free_ports, kill_all, needs, processes_with, short_folder

# Ray replaces 127.0.0.1 by the address of the network card and then listens everywhere, unless it believes that it runs
# on Windows or macOS. There `ray start --address` refuses to add a node; START is `ray start` without that refusal.
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}
START = f"""
from ray._private import ray_constants, services
from ray.scripts.scripts import main
services.get_node_ip_address = lambda address=None: "{LOOPBACK}"
ray_constants.ENABLE_RAY_CLUSTER = True
main()
"""
PORTS = (
    "node-manager-port",
    "object-manager-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)
# Port 0 is any free one.
LIMITS = (
    "--num-cpus=1",
    "--num-gpus=0",
    "--object-store-memory=100000000",
    "--min-worker-port=0",
    "--max-worker-port=0",
)


@dataclass
class RayNodes:
    """A head and a worker node of one processor each; drivers need `address` and `environment`."""

    address: str
    environment: dict[str, str]
    folder: Path
    nodes: list[Server] = field(default_factory=list)

    def start_head(self) -> None:
        _, _, port = self.address.rpartition(":")
        self._start("--head", f"--port={port}", "--include-dashboard=false")

    def start_worker_node(self) -> None:
        """Adds a node; a test that killed the last one restores it so."""
        self._start(f"--address={self.address}")

    def kill_worker_node(self) -> None:
        """Ends the node that was started last with all its processes, without warning."""
        assert len(self.nodes) == 2, "the worker node was killed already: start_worker_node() brings one"
        _kill(self.nodes.pop())

    def stop(self) -> None:
        while self.nodes:
            _kill(self.nodes.pop())
        kill_all(processes_with(RAY_AUTH_TOKEN=self.environment["RAY_AUTH_TOKEN"]))

    def _start(self, *arguments: str) -> None:
        ports = [f"--{name}={port}" for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)]
        where = [f"--node-ip-address={LOOPBACK}", f"--temp-dir={self.folder}/ray", *ports]
        command = [sys.executable, "-c", START, "start", "--block", *where, *LIMITS, *arguments]
        log = self.folder / f"node{len(list(self.folder.glob('*.log')))}.log"
        node = Server(command, log, self.environment)
        self.nodes.append(node)
        node.wait_until(lambda: "Ray runtime started" in log.read_text())


def _kill(node: Server) -> None:
    """Kills what was started and its descendants: Ray's workers have process groups of their own."""
    processes: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        processes = psutil.Process(node.process.pid).children(recursive=True)
    node.kill()
    kill_all(processes)


@contextmanager
def running_ray() -> Iterator[RayNodes]:
    """Starts both nodes; ends every process of them and of drivers that were left behind."""
    needs("ray")
    (port,) = free_ports(1)
    environment = ENVIRONMENT | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with short_folder("ray") as folder:
        ray_nodes = RayNodes(f"{LOOPBACK}:{port}", environment, folder)
        try:
            ray_nodes.start_head()
            ray_nodes.start_worker_node()
            yield ray_nodes
        finally:
            ray_nodes.stop()
