"""Sources of images and points, and the sampler that feeds them to training."""

from sngan.data.dataset import Dataset as Dataset
from sngan.data.dataset import Skipped as Skipped
from sngan.data.sampler import Batch as Batch
from sngan.data.sampler import Sampler as Sampler
from sngan.data.source import open_source as open_source
from sngan.data.toy import MIXTURES as MIXTURES
