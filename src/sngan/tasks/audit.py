"""Audit of a run's critic: its proved bound of W1 beside the exact distance, with a picture."""

import logging
import math
import sys
from pathlib import Path
from typing import Any

import torch

from sngan.engine.setup import open_dataset
from sngan.runs.chosen import LAST
from sngan.runs.critic import load_critic
from sngan.runs.evaluations import add_evaluation
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.networks import OwnNetworks
from sngan.runs.run import load
from sngan.runs.weights import read_config
from sngan.tasks.report import try_report
from sngan.transport import CriticAudit, audit_critic, plot_potentials
from sngan.utils.progress import counting
from sngan.utils.text import first_line

SAMPLES = 500
PICTURE = "potentials.png"
_log = logging.getLogger("sngan")


def audit(
    folder: str | Path,
    lipschitz: float,
    *,
    checkpoint: str | int = LAST,
    samples: int = SAMPLES,
    allow_code: bool = False,
    own: OwnNetworks | None = None,
) -> CriticAudit | None:
    """Compare the bound of W1 that a run's critic proves with the exact W1, pixel by pixel.

    Real samples of the run's data are compared with generated ones. The picture
    ``RUN/lipschitz/potentials.png`` has the critic beside the optimal potential along a line, and
    the report of the run shows it with the numbers. The
    result is None where there is nothing to compare: the constant is not a positive number; the
    critic scores packs of samples, which proves nothing about single ones; the generator was given
    as an object and is not given now; or the data cannot be read any more, and the log has the
    reason.

    Parameters
    ----------
    folder
        The folder of the run.
    lipschitz
        The proved constant of its critic.
    checkpoint
        The weights, as for :func:`sngan.load`.
    samples
        The number of generated samples, and the most real ones.
    allow_code
        Import the code that the run's settings name, see :func:`sngan.load`.
    own
        The networks of a run that was trained on modules given as objects. Without the generator,
        there is nothing to compare.

    Raises
    ------
    ValueError
        If the folder is no run, or has no readable checkpoint.
    """
    own = own or OwnNetworks()
    critic = load_critic(folder, checkpoint=checkpoint, allow_code=allow_code, critic=own.critic)
    config = read_config(Path(folder))
    is_single = config.model.pack == 1 and not own.lacks("generator", config.model)
    if not is_single or not 0.0 < lipschitz < math.inf:
        return None
    run = load(folder, checkpoint=checkpoint, allow_code=allow_code, generator=own.generator)
    try:
        with counting("decoding", file=sys.stderr) as progress:
            dataset = open_dataset(run.config.data, progress)
    except (OSError, ValueError) as error:
        _log.warning("no audit of the critic, because its data is needed: %s", first_line(error))
        return None
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    real = dataset.values(order[:samples].to(dataset.samples.device)).cpu().float()
    fake = run.generate(samples).cpu().float()
    found = audit_critic(critic, real, fake, lipschitz)
    _record(Path(folder), found, source=run.config.data.source)
    try:
        files = ManagedRunFolder(Path(folder)).files
        path = files.claim(f"{ManagedRunFolder.LIPSCHITZ}/{PICTURE}")
        path.parent.mkdir(exist_ok=True)
        plot_potentials(critic, real, fake, lipschitz, path)
    except (OSError, ValueError) as error:
        # the numbers are useful without the picture, so this only warns
        _log.warning("no picture of the potentials: %s", first_line(error))
    try_report(Path(folder))
    return found


def _record(folder: Path, found: CriticAudit, *, source: str) -> None:
    """Write the audit into the run, for its report."""
    values = {"critic_bound": found.bound, "critic_share": found.share}
    values |= {"w1": found.upper, "w1_lower": found.lower, "w1_upper": found.upper}
    record: dict[str, Any] = {
        "values": values,
        "extractor": "pixels and the critic",
        "source": source,
        "n_generated": found.n_y,
        "n_real": found.n_x,
    }
    try:
        add_evaluation(folder, record)
    except (OSError, ValueError) as error:
        _log.warning("the audit is not written into the run: %s", first_line(error))
