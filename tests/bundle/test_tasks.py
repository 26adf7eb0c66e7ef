from __future__ import annotations

from prenda.bundle.tasks import model_name, task_name


def test_the_name_of_a_data_set_is_the_task_of_all_its_classes():
    assert task_name("clothing", ["hat", "dress"], whole=True) == "clothing"


def test_other_classes_are_another_task():
    names = [["Shirt", "Coat"], ["Coat", "Shirt"], ["Shirt", "Bag"], ["ShirtCoat", ""]]
    tasks = [task_name("folder", classes, whole=False) for classes in names]
    assert len(set(tasks)) == len(tasks)
    assert all(task.startswith("folder-2-classes-") and len(task) == len("folder-2-classes-") + 6 for task in tasks)
    assert tasks[0] == task_name("folder", ("Shirt", "Coat"), whole=False)


def test_the_registered_model_bears_the_name_of_the_task():
    assert model_name("folder-2-classes-ab12cd") == "prenda-folder-2-classes-ab12cd"
