from __future__ import annotations

import os
import re
import warnings

import pytest

from prenda.report.log import LoggedConsole, RunLog

STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ")


def lines(folder) -> list[str]:
    return [STAMP.sub("", line) for line in (folder / "log.txt").read_text(encoding="utf-8").splitlines()]


def test_what_is_printed_is_kept_with_the_time(tmp_path, capsys):
    LoggedConsole(RunLog(tmp_path)).print("[bold]Scores[/]", style="dim")
    assert capsys.readouterr().out == "Scores\n"
    assert re.fullmatch(rf"{STAMP.pattern}Scores\n", (tmp_path / "log.txt").read_text())


def test_lines_before_the_folder_exists_wait_for_it(tmp_path):
    log = RunLog(tmp_path / "run")
    log.write("settings")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    log.write("network")
    assert lines(tmp_path / "run") == ["settings", "network"]


def test_a_second_start_adds_to_the_log(tmp_path):
    RunLog(tmp_path).write("first")
    RunLog(tmp_path).write("resumed")
    assert lines(tmp_path) == ["first", "resumed"]


def test_warnings_and_the_error_that_ends_a_run_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", lambda *_, **__: None)
    log = RunLog(tmp_path)
    with pytest.raises(ValueError, match="diverged"), warnings.catch_warnings(), log.noting_problems():  # noqa: PT012 - warns before it raises
        warnings.simplefilter("always")
        warnings.warn("slow", RuntimeWarning, stacklevel=1)
        raise ValueError("diverged")
    assert lines(tmp_path) == ["RuntimeWarning: slow", "ValueError: diverged"]


def test_no_password_is_kept(tmp_path):
    RunLog(tmp_path).write("uri: http://bob:secret@host")
    assert "secret" not in (tmp_path / "log.txt").read_text()


def test_an_output_that_goes_to_the_log_is_not_written_twice(tmp_path):
    """As in a trial of a sweep."""
    kept = os.dup(1)
    with (tmp_path / "log.txt").open("a") as file:
        os.dup2(file.fileno(), 1)
        try:
            RunLog(tmp_path).write("once")
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    assert lines(tmp_path) == []


def test_the_log_of_a_trial_is_the_same_file():
    from prenda.report.log import LOG
    from prenda.search import job

    assert LOG == job.LOG
