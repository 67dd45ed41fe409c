"""MLflow as a callback: settings, numbers, pictures and metrics of a run."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from sngan.callbacks.callback import Callback, Training
from sngan.callbacks.loggers import flat_settings, numbers_of
from sngan.callbacks.optional import optional_package

# MLflow refuses longer values of parameters, and other characters in names
_LONGEST = 500
_REFUSED = re.compile(r"[^\w\-./ ]")


class MLflow(Callback):
    """Logs a run to MLflow; ``pip install mlflow``, or the extra ``sngan[mlflow]``.

    Only rank 0 logs. Without a server MLflow writes to a folder or a database on this machine.

    Parameters
    ----------
    experiment
        The experiment.
    tracking_uri
        The server, folder or database; left out: that of the environment (``MLFLOW_TRACKING_URI``).
    run_name
        The name of the run; left out: that of the run folder.

    Raises
    ------
    ValueError
        If mlflow is not installed.

    Examples
    --------
    >>> import sngan
    >>> logger = sngan.callbacks.MLflow("toys", run_name="first")  # doctest: +SKIP
    >>> sngan.train(sngan.Config(data="ring8"), callbacks=[logger])  # doctest: +SKIP
    """

    def __init__(
        self,
        experiment: str = "sngan",
        *,
        tracking_uri: str | None = None,
        run_name: str | None = None,
    ) -> None:
        optional_package("mlflow")
        self._experiment, self._uri, self._name = experiment, tracking_uri, run_name
        self._client: Any = None
        self._run_id = ""

    @override
    def on_start(self, training: Training) -> None:
        """Begin a run with the settings."""
        if not training.is_rank_zero:
            return
        client = self._client = optional_package("mlflow").MlflowClient(self._uri)
        found = client.get_experiment_by_name(self._experiment)
        owner = client.create_experiment(self._experiment) if found is None else found.experiment_id
        run = client.create_run(owner, run_name=self._name or training.folder.name)
        self._run_id = run.info.run_id
        for key, value in flat_settings(training.config).items():
            client.log_param(self._run_id, key, str(value)[:_LONGEST])

    @override
    def on_log(self, training: Training, record: Mapping[str, Any]) -> None:
        """Log a record."""
        self._log(numbers_of(record), training.step)

    @override
    def on_picture(self, training: Training, path: Path) -> None:
        """Log a picture of samples."""
        self._client.log_artifact(self._run_id, str(path), "samples")

    @override
    def on_evaluate(self, training: Training, metrics: Mapping[str, float]) -> None:
        """Log metrics."""
        self._log(numbers_of({"evaluation": metrics}), training.step)

    @override
    def on_end(self, training: Training, error: BaseException | None) -> None:
        """Finish the run."""
        if self._client is not None:
            status = "FINISHED" if error is None else "FAILED"
            self._client.set_terminated(self._run_id, status)
            self._client = None

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._run_id, _REFUSED.sub("_", name), value, step=step)
