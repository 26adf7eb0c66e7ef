"""A few rounds of each attack with fixed seeds; `make torture` runs them for as long as one likes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.commands import Commands
from tests.reliability.scenario import Scenario
from tests.reliability.torture import SCENARIOS


@pytest.fixture(params=SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scenario]:
    with Commands(tmp_path, request.param.modules) as commands:
        made: Scenario = request.param(commands)
        made.prepare()
        yield made


def test_nothing_is_lost_whenever_a_command_is_killed(scenario: Scenario) -> None:
    scenario.round(random.Random(0), most=2)
    assert scenario.faults >= 1
