"""Files that make a bundle a model of MLflow: MLmodel with the signature, and requirements."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.bundle.format import FORMAT, NOVELTY, Bundle, read

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

REQUIREMENTS = ("onnxruntime", "onnx", "numpy", "mlflow")  # what loading the model through MLflow takes


def describe(folder: Path, run_id: str, model_id: str) -> None:
    """Add to a bundle what makes it a model of MLflow's ONNX flavour: MLmodel with the signature, and requirements.

    By hand, in 0.2 s: `mlflow.onnx.save_model` reads the file lists of all installed packages, in 1.4 s or more, and
    writes the ONNX file anew, which is then no longer the one with the bundle's checksum.
    """
    from mlflow.models import Model

    from prenda.bundle.checked_pixels import write_checked  # imports onnx

    about = read(folder)
    assert about.format == FORMAT, "only bundles that this version wrote are logged"
    data = write_checked(about.network).name
    facts = {"task": about.task, "class_names": list(about.class_names), "polarity": about.polarity}
    labels = {language: list(names) for language, names in about.labels.items()}
    metadata = {**facts, "labels": labels, "preparation": about.preparation and about.preparation.as_plain()}
    signature = _signature(about)
    model = Model(run_id=run_id, model_id=model_id, model_uuid=model_id, signature=signature, metadata=metadata)
    python = platform.python_version()
    environment = {"virtualenv": "python_env.yaml"}
    model.add_flavor("python_function", loader_module="mlflow.onnx", python_version=python, data=data, env=environment)
    # GPU providers would be looked for, with a warning, wherever they are not installed.
    model.add_flavor("onnx", onnx_version=version("onnx"), data=data, providers=["CPUExecutionProvider"])
    model.save(str(folder / "MLmodel"))
    requirements = "\n".join(f"{name}=={version(name)}" for name in REQUIREMENTS)
    (folder / "requirements.txt").write_text(requirements + "\n", encoding="utf-8")
    needs = f"python: {python}\ndependencies:\n- -r requirements.txt\n"
    (folder / "python_env.yaml").write_text(needs, encoding="utf-8")


def _signature(about: Bundle) -> ModelSignature:
    """Return the signature. Its pixels are float32, because MLflow's server turns 0.5 into 0 for uint8.

    The graph refuses values that are no whole numbers from 0 to 255; see `prenda.bundle.checked_pixels`.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    float32, classes = np.dtype("float32"), (-1, len(about.class_names))
    return ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, *about.pixel_shape), "pixels")]),
        outputs=Schema([TensorSpec(float32, (-1,) if name == NOVELTY else classes, name) for name in about.outputs]),
    )
