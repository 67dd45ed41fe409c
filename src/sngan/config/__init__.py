"""The settings of a run: dataclasses, and their YAML."""

from sngan.config.changes import MAY_CHANGE_ON_RESUME as MAY_CHANGE_ON_RESUME
from sngan.config.changes import changes as changes
from sngan.config.changes import known_changes as known_changes
from sngan.config.changes import require_allowed as require_allowed
from sngan.config.code_names import code_names as code_names
from sngan.config.code_names import code_names_in as code_names_in
from sngan.config.code_names import has_own_code as has_own_code
from sngan.config.data import DataConfig as DataConfig
from sngan.config.evaluation import EvaluationConfig as EvaluationConfig
from sngan.config.io import from_dict as from_dict
from sngan.config.io import load as load
from sngan.config.io import loads as loads
from sngan.config.io import plain as plain
from sngan.config.io import read as read
from sngan.config.io import save as save
from sngan.config.io import to_dict as to_dict
from sngan.config.model import ModelConfig as ModelConfig
from sngan.config.own_settings import with_own_settings as with_own_settings
from sngan.config.performance import PerformanceConfig as PerformanceConfig
from sngan.config.schema import Config as Config
from sngan.config.short_names import keys_by_short_name as keys_by_short_name

__all__ = [
    "MAY_CHANGE_ON_RESUME",
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "PerformanceConfig",
    "changes",
    "code_names",
    "code_names_in",
    "from_dict",
    "has_own_code",
    "keys_by_short_name",
    "known_changes",
    "load",
    "loads",
    "plain",
    "read",
    "require_allowed",
    "save",
    "to_dict",
    "with_own_settings",
]
