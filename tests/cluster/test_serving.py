"""`prenda serve` and its OpenAPI document, by schemathesis."""

from __future__ import annotations

import pytest

from tests.prediction.bundles import write_bundle
from tests.reliability.hostile_clients import schemathesis
from tests.server.process import serving


@pytest.mark.cluster
@pytest.mark.parametrize("keeps", [True, False])
def test_the_server_does_what_its_document_says(tmp_path, keeps):
    kept = ("--keep-corrections", str(tmp_path / "kept")) if keeps else ()
    with serving("--model", str(write_bundle(tmp_path / "model")), "--timeout", "5", *kept) as server:
        schemathesis(server, tmp_path, "--max-examples", "50", seconds=240)
