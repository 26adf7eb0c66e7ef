from __future__ import annotations

import optuna
from optuna.trial import create_trial

from prenda.search.results import LEAST_TRIALS, importance


def test_duplicates_count_neither_for_the_threshold_nor_for_the_importance():
    lr = {"lr": optuna.distributions.FloatDistribution(0, 1)}
    study = optuna.create_study(direction="maximize")
    for number in range(LEAST_TRIALS - 1):
        study.add_trial(create_trial(params={"lr": number / 10}, distributions=lr, value=number / 10))
    for _ in range(LEAST_TRIALS):
        study.add_trial(create_trial(params={"lr": 0.1}, distributions=lr, value=0.1, user_attrs={"same_as": 1}))
    assert importance(study) == {}
    study.add_trial(create_trial(params={"lr": 0.9}, distributions=lr, value=0.9))
    assert importance(study) == {"lr": 1.0}
