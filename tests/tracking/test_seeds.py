from __future__ import annotations

from prenda.tracking.records import REPRODUCES
from prenda.tracking.seeds import CONFIGURATION, seeds_of
from tests.tracking.recorded_runs import Home


def test_a_reproduction_is_no_measurement_of_its_own(tmp_path):
    home = Home(tmp_path / "home")
    first, second = (
        home.run(f"seed{seed}", val=0.5 + seed / 10, **{CONFIGURATION: "a", "seed": str(seed)}) for seed in (0, 1)
    )
    home.run("seed0-reproduced", val=0.9, **{CONFIGURATION: "a", "seed": "0", REPRODUCES: first})
    seeds = seeds_of(home.client, second)
    assert {seed: round(accuracy, 2) for seed, accuracy in seeds.accuracies.items()} == {"0": 0.49, "1": 0.59}
