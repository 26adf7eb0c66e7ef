from __future__ import annotations

import os
import signal
import sys
import time
import weakref

import pytest

from prenda.system.signals import Stopped, stop_deferred, stop_on_signal


def test_the_first_signal_stops_and_more_do_not_disturb():
    def run() -> None:
        with stop_on_signal():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped, match="stopped by SIGTERM") as stop:
        run()
    assert stop.value.signum == signal.SIGTERM


def test_a_stop_waits_for_what_must_not_be_cut_in_two():
    done = []

    def run() -> None:
        with stop_on_signal():
            with stop_deferred(), stop_deferred():
                os.kill(os.getpid(), signal.SIGINT)
                done.append("whole")
            done.append("never")

    with pytest.raises(Stopped):
        run()
    assert done == ["whole"]


@pytest.mark.parametrize("seconds", [0, 30])
@pytest.mark.parametrize("place", ["weak reference", "finalizer", "both, one after the other"])
def test_a_signal_where_python_ignores_exceptions_stops_a_little_later(place, seconds, capfd):
    class Thing:
        def __del__(self) -> None:
            if place != "weak reference":
                os.kill(os.getpid(), signal.SIGTERM)

    def called(_: object) -> None:
        if place != "finalizer":
            os.kill(os.getpid(), signal.SIGTERM)

    def run() -> None:
        with stop_on_signal():
            thing = Thing()
            reference = weakref.ref(thing, called)
            del thing
            assert reference() is None
            time.sleep(seconds)

    with pytest.raises(Stopped, match="stopped by SIGTERM"):
        run()
    assert capfd.readouterr().err == ""


def test_another_exception_that_python_ignores_is_shown_as_ever(monkeypatch):
    class Thing:
        def __del__(self) -> None:
            raise ValueError

    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: shown.append(ignored.exc_type))
    with stop_on_signal():
        Thing()
    assert shown == [ValueError]


def test_handlers_are_as_before():
    before, hook = signal.getsignal(signal.SIGTERM), sys.unraisablehook
    with stop_on_signal():
        pass
    assert signal.getsignal(signal.SIGTERM) is before
    assert sys.unraisablehook is hook
