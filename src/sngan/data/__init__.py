"""Data: sources of images and points, and the sampler that turns them into batches.

Start at ``open_source`` in ``opening.py``. ``sources/`` has one file for each kind of SOURCE,
``labels/`` finds classes and splits, ``images/`` decodes, ``batches/`` feeds the training.
"""

from sngan.data.batches.sampler import Batch as Batch
from sngan.data.batches.sampler import Sampler as Sampler
from sngan.data.dataset import Dataset as Dataset
from sngan.data.fingerprint import changes as changes
from sngan.data.fingerprint import of_content as of_content
from sngan.data.held_out import held_out_count as held_out_count
from sngan.data.held_out import held_out_rows as held_out_rows
from sngan.data.held_out import trained_rows as trained_rows
from sngan.data.images.formats import FORMATS as FORMATS
from sngan.data.images.placement import resolution_setting as resolution_setting
from sngan.data.opening import is_missing as is_missing
from sngan.data.opening import open_source as open_source
from sngan.data.own.opening import open_own as open_own
from sngan.data.sources.toy import MIXTURES as MIXTURES
from sngan.data.types import READING as READING
from sngan.data.types import Skipped as Skipped

__all__ = [
    "FORMATS",
    "MIXTURES",
    "READING",
    "Batch",
    "Dataset",
    "Sampler",
    "Skipped",
    "changes",
    "held_out_count",
    "held_out_rows",
    "is_missing",
    "of_content",
    "open_own",
    "open_source",
    "resolution_setting",
    "trained_rows",
]
