"""Whole jobs, the same from Python and from the command line: train a run and report on it."""

from pathlib import Path

from sngan import training
from sngan.config import Config
from sngan.report import write_report
from sngan.run import Run


def train(config: Config, *, resume: bool = False, overwrite: bool = False) -> Run:
    """Train a GAN and leave a whole run folder at ``config.out``, ``report.html`` included.

    See :func:`sngan.training.train` for the arguments and what is raised; a run that was
    interrupted or that failed on the way gets its report too.
    """
    try:
        run = training.train(config, resume=resume, overwrite=overwrite)
    except (training.TrainingError, training.Interrupted):
        write_report(Path(config.out))
        raise
    write_report(run.folder)
    return run
