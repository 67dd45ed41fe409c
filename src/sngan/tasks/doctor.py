"""Doctor: the health of a run from its records, without its weights or its data."""

from pathlib import Path

from sngan.health import Diagnosis
from sngan.runs.run import diagnose_folder
from sngan.runs.weights import read_config


def doctor(folder: str | Path) -> Diagnosis:
    """Judge the health of a run: what is wrong, since when, how sure that is, and what to try.

    The run may be finished, interrupted or failed, and an earlier version may have made it;
    conditions whose figures it did not record are listed as unjudged.

    Parameters
    ----------
    folder
        The folder of the run.

    Raises
    ------
    ValueError
        If the folder is no run, or the run has no records.
    """
    folder = Path(folder)
    return diagnose_folder(folder, read_config(folder))
