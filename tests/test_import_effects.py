"""Importing a part of sngan changes nothing in the program that imports it."""

import subprocess
import sys

import pytest

PROGRAM = """
import importlib, pkgutil, random
import numpy as np
import torch
import sngan

def state():
    settings = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    numpy = np.random.get_state()[1].tolist()
    generators = (torch.get_rng_state().tolist(), random.getstate(), numpy)
    return settings, generators

before = state()
for module in pkgutil.walk_packages(sngan.__path__, "sngan."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        assert state() == before, module.name
"""


@pytest.mark.slow
def test_no_import_moves_random_numbers_or_settings() -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-500:]
