"""The shop's guide: both languages give the same commands. `.ci/run` runs them."""

from __future__ import annotations

from tests.docs.guide_commands import PAGES, as_run, commands


def test_both_languages_give_the_same_commands():
    english, spanish = ([command.split()[:2] for command in commands(page)] for page in PAGES)
    assert english == spanish
    assert english[0] == ["make", "shop"]


def test_the_folders_of_the_commands_are_those_that_the_script_fills():
    for page, folders in PAGES.items():
        text = "\n".join(commands(page))
        assert all(folder in text for folder in folders)


def test_a_server_is_visited_and_everything_else_runs_as_it_is_written():
    assert as_run("prenda predict photos", "photos") == "prenda predict photos"
    command = "prenda serve --keep-corrections my_photos"
    assert as_run(command, "photos").endswith(f"/tests/docs/page_visit.py photos/bags/0.jpg sandals {command}")
