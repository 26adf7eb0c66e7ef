"""The machine's load as metrics of a run, measured by MLflow and written to the run's journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor


# MLflow's methods have no types. pyproject.toml excuses calls of them, but only those that name MLflow's class.
class Monitor(SystemMetricsMonitor):
    """Thread that measures the load. MLflow's own asks the store before each sample, and ends if it does not answer."""

    def __init__(self, log: Callable[[Mapping[str, float], int], None], first_step: int = 0) -> None:
        # Without an address it would create mlflow.db in the current folder; this one is never asked.
        SystemMetricsMonitor.__init__(self, run_id=None, tracking_uri="http://localhost")
        self._log = log
        self._logging_step = first_step

    def monitor(self) -> None:
        """Measure until `finish` is called."""
        while not self._shutdown_event.is_set():
            for _ in range(self.samples_before_logging):
                SystemMetricsMonitor.collect_metrics(self)
                if self._shutdown_event.wait(self.sampling_interval):
                    return
            measured = SystemMetricsMonitor.aggregate_metrics(self)
            self.publish_metrics(measured)

    def publish_metrics(self, metrics: Mapping[str, float]) -> None:
        """Write the measurements to the journal under MLflow's names."""
        prefix = self._metrics_prefix + (f"{self.node_id}/" if self.node_id else "")
        self._log({prefix + name: value for name, value in metrics.items()}, self._logging_step)
        self._logging_step += 1
        for monitor in self.monitors:
            monitor.clear_metrics()

    def finish(self) -> None:
        """End the thread. MLflow's own method also flushes a logger, which this run does not have."""
        self._shutdown_event.set()
        if self._process is not None:
            self._process.join()
            self._process = None
