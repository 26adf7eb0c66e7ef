"""Running time of a sweep over all its starts, recorded in its study."""

from __future__ import annotations

import time

from optuna.study import Study

INTERVAL = 10.0  # seconds between two records; a killed driver loses at most this much
SECONDS = "seconds"  # attribute of the study


class RunningTime:
    """Clock that continues from the recorded time of earlier starts."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._earlier = float(study.user_attrs.get(SECONDS, 0))
        self._since = self._recorded = time.monotonic()

    @property
    def seconds(self) -> float:
        """Running time of all starts together."""
        return self._earlier + time.monotonic() - self._since

    def record(self) -> None:
        """Write the running time to the study."""
        self._recorded = time.monotonic()
        self._study.set_user_attr(SECONDS, self.seconds)

    def record_sometimes(self) -> None:
        """Write the running time if the last record is older than `INTERVAL`."""
        if time.monotonic() - self._recorded >= INTERVAL:
            self.record()
