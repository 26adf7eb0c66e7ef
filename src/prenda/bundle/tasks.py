"""Names of tasks: a data set with its classes, for which there is one champion. Needs the standard library alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

DEFAULT_TASK = "fashion_mnist"  # its registered model is `prenda` alone, as in the first versions
FIRST_MODEL = "prenda"


def task_name(data_name: str, class_names: Sequence[str], whole: bool) -> str:
    """Return the name of a task, such as `fashion_mnist` or `fashion_mnist-2-classes-ab12cd`.

    Args:
        data_name: Name of the data set.
        class_names: Names of the classes, in the order of the logits.
        whole: Whether the data set's name alone says which classes these are.
    """
    if whole:
        return data_name
    digest = hashlib.sha256("\n".join(class_names).encode()).hexdigest()
    return f"{data_name}-{len(class_names)}-classes-{digest[:6]}"


def model_name(task: str) -> str:
    """Return the name of a task's registered model: `prenda` for Fashion-MNIST, `prenda-TASK` for any other."""
    return FIRST_MODEL if task == DEFAULT_TASK else f"{FIRST_MODEL}-{task}"
