"""The settings of a run: dataclasses, and their YAML."""

from sngan.config.schema import MAY_CHANGE_ON_RESUME as MAY_CHANGE_ON_RESUME
from sngan.config.schema import Config as Config
from sngan.config.schema import DataConfig as DataConfig
from sngan.config.schema import EvaluationConfig as EvaluationConfig
from sngan.config.schema import ModelConfig as ModelConfig
from sngan.config.schema import PerformanceConfig as PerformanceConfig
from sngan.config.schema import as_begun as as_begun
from sngan.config.schema import changes as changes
from sngan.config.schema import differences as differences
from sngan.config.schema import flatten as flatten
from sngan.config.schema import from_dict as from_dict
from sngan.config.schema import load as load
from sngan.config.schema import read as read
from sngan.config.schema import save as save
from sngan.config.schema import to_dict as to_dict
