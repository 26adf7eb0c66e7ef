from __future__ import annotations

import pytest
import torch

from prenda import schedules
from prenda.config.paths import CONFIG_DIR
from prenda.optimizers import MuonWithAdamW
from prenda.schedules import constant, cosine, one_cycle, step


def rates(make, steps: int = 100, **settings) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimizer, steps, **settings)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_constant_stays():
    assert set(rates(constant)) == {1.0}


def test_one_cycle_rises_to_the_rate_and_falls_to_nothing():
    seen = rates(one_cycle, warmup=0.2)
    assert seen[0] == pytest.approx(1 / 25)
    assert max(seen) == pytest.approx(1.0)
    assert 18 <= seen.index(max(seen)) <= 20
    assert seen[-1] < 1e-4


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 10])
@pytest.mark.parametrize("warmup", [0.1, 0.2, 0.25, 0.5, 0.99])
def test_one_cycle_fits_the_shortest_runs(steps, warmup):
    assert all(0 <= rate <= 1 for rate in rates(one_cycle, steps, warmup=warmup))


def test_cosine_falls_to_its_last_part():
    seen = rates(cosine, final=0.1)
    assert seen[0] == 1.0
    assert seen[50] == pytest.approx(0.55, abs=0.01)
    assert seen[-1] == pytest.approx(0.1, abs=0.01)


def test_step_falls_at_its_milestones():
    seen = rates(step, milestones=[0.5, 0.75], factor=0.1)
    assert [seen[place] for place in (0, 49, 51, 74, 76)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("make", "settings", "told"),
    [
        (one_cycle, {"warmup": 1.0}, "scheduler.warmup is 1.0: it must be a number, more than 0 and less than 1"),
        (one_cycle, {"warmup": "abc"}, "scheduler.warmup is 'abc': it must be a number"),
        (cosine, {"final": 2}, "scheduler.final is 2: it must be a number, at least 0 and at most 1"),
        (cosine, {"final": True}, "scheduler.final is True: it must be a number"),
        (cosine, {"final": float("nan")}, "scheduler.final is nan: it must be a number, at least 0 and at most 1"),
        (step, {"milestones": [2]}, r"scheduler.milestones is \[2\]: give a list of parts of the steps"),
        (step, {"milestones": []}, r"scheduler.milestones is \[\]"),
        (step, {"milestones": ["abc"]}, r"scheduler.milestones is \['abc'\]"),
        (step, {"milestones": "abc"}, "scheduler.milestones is 'abc'"),
        (step, {"milestones": 0.5}, "scheduler.milestones is 0.5"),
        (step, {"factor": -1}, "scheduler.factor is -1: it must be a number, more than 0 and at most 1"),
        (step, {"factor": 0}, "scheduler.factor is 0: it must be a number"),
        (step, {"factor": 1.5}, "scheduler.factor is 1.5: it must be a number"),
        (step, {"factor": "abc"}, "scheduler.factor is 'abc': it must be a number"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(make, settings, told):
    with pytest.raises(ValueError, match=told):
        rates(make, **settings)


@pytest.mark.parametrize("schedule", [constant, one_cycle, lambda o, n: cosine(o, n, final=0.1), step])
def test_every_part_of_a_network_follows_its_own_peak(schedule):
    head, body = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [head], "lr_factor": 1.0}, {"params": [body], "lr": 0.02, "lr_factor": 0.2}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    plan = schedule(optimizer, 20)
    for _ in range(20):
        assert optimizer.param_groups[1]["lr"] == pytest.approx(0.2 * optimizer.param_groups[0]["lr"])
        optimizer.step()
        plan.step()


EVERY_SCHEDULE = sorted(path.stem for path in (CONFIG_DIR / "scheduler").glob("*.yaml"))
LARGE = {"cosine": {"final": 0.9}, "step": {"factor": 1.0}, "one_cycle": {"warmup": 0.99}}


@pytest.mark.parametrize("settings", [{}, LARGE], ids=["as shipped", "large"])
@pytest.mark.parametrize("name", EVERY_SCHEDULE)
def test_no_group_exceeds_its_own_peak(name, settings):
    network = torch.nn.Linear(4, 4)
    optimizer = MuonWithAdamW(network.parameters(), lr=0.02, adamw_lr=0.003)
    plan = getattr(schedules, name)(optimizer, 20, **settings.get(name, {}))
    for _ in range(20):
        matrices, vectors = optimizer.param_groups
        assert 0 <= vectors["lr"] <= 0.003 * (1 + 1e-9)
        assert matrices["lr"] / vectors["lr"] == pytest.approx(0.02 / 0.003)
        optimizer.step()
        plan.step()
