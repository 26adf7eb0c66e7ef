from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from prenda.bundle import champions
from prenda.bundle import format as bundle
from prenda.errors import BundleError
from tests.bundle.test_bundle import dense, write


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[bundle.Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    for name, temperature in (("first", 1.5), ("second", 2.5)):
        write(folder / name, dense(), temperature=temperature)
    return [bundle.read(folder / name) for name in ("first", "second")]


def remains() -> list[str]:
    return sorted(path.name for path in champions.folder().rglob(".part-*"))


@pytest.mark.slow
def test_a_champion_is_a_whole_bundle_in_the_place_of_the_earlier_one(two):
    assert champions.kept() == []
    first, second = two
    place = champions.keep(first)
    assert place == champions.folder() / "generated"
    assert bundle.read(place) == replace(first, folder=place)
    assert {path.name for path in place.iterdir()} == {path.name for path in first.folder.iterdir()}
    champions.keep(second)
    champions.keep(second)
    assert bundle.read(place).temperature == 2.5
    assert champions.kept() == [place]


def test_the_bundle_before_stays_for_who_reads_it_and_older_ones_go(two, tmp_path):
    places = []
    for number in range(4):
        folder = shutil.copytree(two[0].folder, tmp_path / str(number))
        text = (folder / "model.json").read_text()
        (folder / "model.json").write_text(text.replace('"temperature": 1.5', f'"temperature": {number + 1}'))
        places.append(champions.keep(bundle.read(folder)).resolve())
        os.utime(places[-1], (number, number))
    assert [place.is_dir() for place in places] == [False, False, True, True]


def test_tasks_and_variants_stand_side_by_side(two):
    first, second = two
    shop = champions.keep(replace(first, task="shop"))
    own = champions.keep(second)
    tablet = champions.keep(first, "tablet")
    assert tablet.name == "generated@tablet"
    assert bundle.read(tablet).temperature == 1.5
    assert set(champions.kept()) == {shop, own}


@pytest.mark.parametrize("task", ["..", "", "a/b", "../outside", ".hidden"])
def test_a_task_that_is_no_folder_is_refused(two, task):
    with pytest.raises(BundleError, match=r"model.json names the task '.*', which cannot be the name of a folder: tra"):
        champions.keep(replace(two[0], task=task))
    assert champions.kept() == []


def test_a_damaged_bundle_leaves_the_champion_as_it_was(two, tmp_path):
    place = champions.keep(two[0])
    damaged = shutil.copytree(two[1].folder, tmp_path / "damaged")
    read = bundle.read(damaged)
    read.network.write_bytes(b"")
    with pytest.raises(BundleError, match="is damaged"):
        champions.keep(read)
    assert bundle.read(place).temperature == 1.5
    assert champions.keep(two[1]) == place
    assert remains() == []


def _keep(place: bundle.Bundle, kill_before: str | None) -> None:
    """Keep a champion; killed as by `kill -9` before the step of this name."""
    if kill_before is not None:
        setattr(champions, kill_before, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    champions.keep(place)


def _in_process(target: Callable[..., None], *arguments: object) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")  # the children copy files and no more
@pytest.mark.parametrize("step", ["_copy", "_to_disk", "_link", "_delete_earlier"])
def test_a_killed_process_leaves_a_whole_champion(two, step):
    place = champions.keep(two[0])
    process = _in_process(_keep, two[1], step)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert bundle.read(place).temperature == (2.5 if step == "_delete_earlier" else 1.5)
    champions.keep(two[1])
    assert bundle.read(place).temperature == 2.5
    assert remains() == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_two_at_once_leave_one_whole_champion(two):
    processes = [_in_process(_keep, two[number % 2], None) for number in range(6)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    (place,) = champions.kept()
    assert bundle.read(place).temperature in (1.5, 2.5)
    assert remains() == []
