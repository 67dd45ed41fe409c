"""Training of a GAN, with its report."""

from pathlib import Path

from sngan.config import Config
from sngan.engine.train import Interrupted as Interrupted
from sngan.engine.train import TrainingError
from sngan.engine.train import train as train_networks
from sngan.runs.run import Run
from sngan.tasks.report import try_live_report, try_report


def train(
    config: Config, *, resume: bool = False, overwrite: bool = False, changed: bool = False
) -> Run:
    """Train a GAN and make a run folder at ``config.out``, with ``report.html``.

    The report is written again and again while the run goes on, and its page reloads itself. It is
    also written when the training was interrupted or failed on the way.

    Parameters
    ----------
    config
        The settings of the run.
    resume
        Go on from the newest readable checkpoint in ``config.out``.
    overwrite
        Replace a run that is at ``config.out``.
    changed
        Go on with other settings or other data, without the promise that the result is bit for bit
        that of one run.

    Raises
    ------
    ValueError, TrainingError, Interrupted
        If :func:`sngan.engine.train.train` raises them.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sngan
    >>> with TemporaryDirectory() as folder:
    ...     config = sngan.Config(data="ring8", steps=1, batch_size=8, out=f"{folder}/run")
    ...     run = sngan.train(config)  # doctest: +ELLIPSIS
    step 1/1 ...
    >>> run.generate(3).shape
    torch.Size([3, 2])
    """
    try:
        run = train_networks(
            config, resume=resume, overwrite=overwrite, changed=changed, write_page=try_live_report
        )
    except (TrainingError, Interrupted):
        try_report(Path(config.out))
        raise
    try_report(run.folder)
    return run
