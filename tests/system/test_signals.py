from __future__ import annotations

import os
import signal

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


def test_handlers_are_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signal():
        pass
    assert signal.getsignal(signal.SIGTERM) is before
