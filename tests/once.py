"""What libraries do anew for each run, and what tests let them do once: MLflow's migrations, torch's ONNX operators."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock


@cache
def stores_copied_from(template: Path) -> None:
    """Let each new local store be a copy of one that was created empty: MLflow migrates for seconds.

    Processes may share the template; the first creates it. `tests/tracking/test_store.py` creates stores as they are.
    """
    from prenda.tracking import store

    create = store._create

    def copied(database: Path) -> None:
        with FileLock(template.with_suffix(".template_lock")):
            if not template.exists():
                create(template)
        shutil.copyfile(template, database.with_suffix(".unfinished"))
        database.with_suffix(".unfinished").rename(database)

    store._create = copied


@cache
def operators_registered_once() -> type[Any]:
    """Let torch read onnxscript's functions at the first export of a process only; return the class that does so."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(cache(ONNXRegistry.from_torchlib))  # torch adds nothing to it later
    return ONNXRegistry
