"""`prenda serve` and its OpenAPI document, by schemathesis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prenda.config.paths import REPOSITORY
from tests.prediction.bundles import write_bundle
from tests.server.process import serving

CONFIGURATION = REPOSITORY / "tests/server/schemathesis.toml"


@pytest.mark.cluster
@pytest.mark.parametrize("keeps", [True, False])
def test_the_server_does_what_its_document_says(tmp_path, keeps):
    command = str(Path(sys.executable).with_name("schemathesis"))
    kept = ("--keep-corrections", str(tmp_path / "kept")) if keeps else ()
    with serving("--model", str(write_bundle(tmp_path / "model")), "--timeout", "5", *kept) as server:
        done = subprocess.run(
            [command, "--config-file", str(CONFIGURATION), "run", f"{server.url}/openapi.json", "--max-examples", "50"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=240,
        )

    assert done.returncode == 0, done.stdout + done.stderr
