"""A short round of each attack with a fixed seed; `make torture` runs them for as long as one likes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.commands import Commands
from tests.reliability.scenario import Scenario
from tests.reliability.sweeps import Sweep
from tests.reliability.torture import SCENARIOS
from tests.reliability.training import Train

# Resume attacks `prenda train` too, and tests/search kills sweeps, whose attack takes longest.
QUICK = [scenario for scenario in SCENARIOS if scenario not in (Train, Sweep)]


@pytest.fixture(params=QUICK, ids=[scenario.name for scenario in QUICK])
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scenario]:
    with Commands(tmp_path, request.param.modules) as commands:
        made: Scenario = request.param(commands)
        made.at_writes = True
        made.prepare()
        yield made


@pytest.mark.slow
def test_nothing_is_lost_whenever_a_command_is_killed(scenario: Scenario) -> None:
    scenario.round(random.Random(0), most=2)
    assert scenario.faults >= 1
