"""Recorded runs that never trained: their records, folders and files, as `prenda train` would leave them."""

from __future__ import annotations

from pathlib import Path

from prenda.tracking.journal import Destination
from prenda.tracking.run_folder import STATUS
from prenda.tracking.runs import Run
from prenda.tracking.store import connect, experiment_id

CHECKPOINT, BUNDLE = 3000, 500  # bytes


class Home:
    """A home with a store; `run` adds a run with checkpoints, a bundle and predictions."""

    def __init__(self, home: Path) -> None:
        self.home, self.uri = home, f"sqlite:///{home}/mlruns/mlflow.db"
        self.client = connect(self.uri)
        self.experiment = experiment_id(self.client, "prenda", str(home / "mlruns/artifacts"))
        self.count = 0

    def run(
        self,
        name: str,
        status: str = "FINISHED",
        *,
        val: float | None = None,
        metrics: dict[str, float] | None = None,
        data: str = "generated",
        **tags: str,
    ) -> str:
        """Record a run of one name and status; return its id."""
        self.count += 1
        folder = self.home / "outputs" / "runs" / f"{self.count}"
        tags = {"backbone": "dense", "data": data, "folder": str(folder), **tags}
        run = Run(folder, Destination(self.uri, "prenda"))
        run.start(name, tags, {"backbone": "dense", "data": data})
        assert run.deliver() is None
        assert run.id is not None
        scores = {} if val is None else {"best/val/accuracy": val, "test/accuracy": val - 0.01, "train/seconds": 12.5}
        run.log_metrics(scores | (metrics or {}), step=1)
        (folder / "config.yaml").write_text("seed: 1\n")
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints/best.ckpt").write_bytes(b"c" * CHECKPOINT)
        (folder / "bundle").mkdir()
        (folder / "bundle/model.json").write_bytes(b"b" * BUNDLE)
        (folder / "predictions").mkdir()
        (folder / "predictions/test.npz").write_bytes(b"p" * 100)
        if status == "RUNNING":
            run.log_files()
            assert run.close() is None
            return run.id
        if status == "PRUNED":
            run.log_tags({"pruned": "it was slow"})
        run.end(status)
        assert run.close() is None
        (folder / STATUS).write_text(status)
        return run.id

    def folder(self, run_id: str) -> Path:
        """The folder of a run."""
        return Path(self.client.get_run(run_id).data.tags["folder"])

    def artifacts(self, run_id: str) -> Path:
        """The folder of its files in the store."""
        return self.home / "mlruns/artifacts" / run_id / "artifacts"
