"""Real samples of a run: a picture of some of them, to be seen beside generated ones."""

import logging

import torch

from sngan.data import Dataset
from sngan.data.fingerprint import evenly_spaced
from sngan.runs import sample_grid
from sngan.runs.managed import ManagedRunFolder
from sngan.utils.text import first_line

_log = logging.getLogger("sngan")


def save_real_samples(dataset: Dataset, folder: ManagedRunFolder, *, most: int) -> None:
    """Write ``samples/real.png``, unless it is there: a grid of images, or a scatter of points.

    Parameters
    ----------
    dataset
        The data of the run.
    folder
        The run folder.
    most
        The number of samples, if the data has so many.
    """
    if folder.real_samples.exists():
        return
    # not the first ones: a folder of classes has the samples of each class together
    rows = torch.tensor(evenly_spaced(len(dataset), most), device=dataset.samples.device)
    try:
        path = folder.files.claim(folder.REAL_SAMPLES)
        sample_grid.save_samples(dataset.values(rows).cpu(), path, is_real=True)
    except (OSError, ValueError) as error:
        # a missing picture must not end the training
        _log.warning("no picture of real samples: %s", first_line(error))
