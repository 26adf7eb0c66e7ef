"""Names of tasks: a data set with its classes, for which there is one champion. Needs the standard library alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

FIRST_MODEL = "prenda"  # registered model of the first task of a store, as in version 0.1.0


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
    """Return the name of the registered model of a task that is not the first of its store."""
    return f"{FIRST_MODEL}-{task}"
