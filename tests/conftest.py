"""Set-up of all tests: one thread, few hypothesis examples, a limit of CPU time.

The networks are tiny, and with one thread results do not depend on the machine.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from hypothesis import settings

from helpers.cpu_limit import CpuLimit
from helpers.examples import PROFILES

for name, options in PROFILES.items():
    settings.register_profile(name, **options)
settings.load_profile("quick")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(CpuLimit())
