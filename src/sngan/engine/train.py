"""Training of a GAN from its settings: ``train``, the function that callers use."""

from pathlib import Path

from sngan.config import Config
from sngan.engine.errors import Interrupted as Interrupted
from sngan.engine.errors import TrainingError as TrainingError
from sngan.engine.fabric import RankFailedError, run_on_ranks
from sngan.engine.live_page import WritePage
from sngan.engine.worker import train_on_rank
from sngan.runs.layout import RunFolder
from sngan.runs.run import Run, load
from sngan.utils.checks import require


def train(
    config: Config,
    *,
    resume: bool = False,
    overwrite: bool = False,
    changed: bool = False,
    write_page: WritePage | None = None,
) -> Run:
    """Train a GAN and leave a run folder at ``config.out``.

    Each generator step follows ``n_critic`` critic steps (Goodfellow et al. 2014, arXiv:1406.2661;
    Arjovsky et al. 2017, arXiv:1701.07875). On the CPU a resumed run equals an uninterrupted one
    bit for bit. With ``config.performance.devices`` or ``nodes`` above 1, that many processes share
    each batch. Rank 0 writes the files, and the results are those of one process up to rounding. A
    script that calls this function with several devices, or with a strategy, needs
    ``if __name__ == "__main__":``. A command that torchrun restarts goes on from the newest
    readable checkpoint.

    Parameters
    ----------
    config
        The settings. Those that are left to the data are filled in and saved as ``config.yaml``.
    resume
        Go on from the newest readable checkpoint in ``config.out``.
    overwrite
        Replace the run at ``config.out``. Its own files are deleted after the first checkpoint of
        the new run; other files stay.
    changed
        Go on with other settings or other data: the learning rate, more images … The result is
        then not bit for bit that of one run.
    write_page
        A function of a module that writes the page of the run folder; it is called again and again
        while the run goes on.

    Raises
    ------
    ValueError
        If a setting, the data or the folder does not fit, or if another process or thread trains
        there already.
    TrainingError
        If a loss or gradient was not finite, a process was killed, or something else broke.
    Interrupted
        If Ctrl-C, SIGTERM or SIGHUP arrived; a checkpoint was saved.
    """
    try:
        require(resume or not changed, "changed", expected="resume as well", got="changed alone")
        run = run_on_ranks(
            config.performance, train_on_rank, config, resume, overwrite, changed, write_page
        )
    except RankFailedError as error:
        raise TrainingError(f"{error}; {RunFolder(Path(config.out)).where_to_look}") from error
    # a process group returns no run, because its networks may be sharded, or in other processes
    return run or load(config.out)
