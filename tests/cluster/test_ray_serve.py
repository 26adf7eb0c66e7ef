"""The application of `prenda serve` on Ray Serve, one copy on each of two nodes, as docs/serving.md shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.prediction.bundles import photo, write_bundle

from .host import free_ports
from .ray_nodes import RayNodes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

DRIVER = """
import json, sys, urllib.request
from pathlib import Path

import ray
from ray import serve

from prenda.server.app import application
from prenda.server.options import Options

address, port, bundle, photo, nodes = sys.argv[1:]


def build():
    Path(nodes, ray.get_runtime_context().get_node_id()).touch()
    return application(Options(model=bundle))


@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 1})
@serve.ingress(build)
class Photos:
    pass


def answer():
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", Path(photo).read_bytes())
    request.add_header("Content-Type", "image/jpeg")
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["answers"][0]


ray.init(address=address, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
serve.run(Photos.bind(), name="prenda")
answers = [answer() for _ in range(10)]
serve.shutdown()
print(json.dumps({"types": [each["type"] for each in answers], "nodes": len(list(Path(nodes).iterdir()))}))
"""


def test_ray_serve_runs_the_application_on_two_nodes(ray_nodes: RayNodes, tmp_path: Path):
    (port,) = free_ports(1)
    (tmp_path / "nodes").mkdir()
    places = [write_bundle(tmp_path / "model"), photo(tmp_path / "a.jpg", "Dress"), tmp_path / "nodes"]
    command = [sys.executable, "-c", DRIVER, ray_nodes.address, str(port), *map(str, places)]
    done = subprocess.run(command, env=os.environ | ray_nodes.environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"types": ["Dress"] * 10, "nodes": 2}
