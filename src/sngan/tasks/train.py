"""Training of a GAN, with its report."""

from pathlib import Path

from sngan.config import Config
from sngan.engine import train as engine
from sngan.runs.run import Run
from sngan.tasks.report import try_report


def train(config: Config, *, resume: bool = False, overwrite: bool = False) -> Run:
    """Train a GAN and leave a whole run folder at ``config.out``, ``report.html`` included.

    See :func:`sngan.engine.train.train` for the arguments and what is raised; a run that was
    interrupted or that failed on the way gets its report too.
    """
    try:
        run = engine.train(config, resume=resume, overwrite=overwrite)
    except (engine.TrainingError, engine.Interrupted):
        try_report(Path(config.out))
        raise
    try_report(run.folder)
    return run
