"""Comparisons of runs that are stopped far too early, and of runs that have converged."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.comparisons import TINY
from sngan.config import DataConfig
from sngan.tasks.compare import compare

pytestmark = pytest.mark.slow


@pytest.fixture
def one_gaussian(tmp_path):
    path = tmp_path / "gaussian.npy"
    np.save(path, np.random.default_rng(0).normal(3.0, 1.0, size=(5000, 2)).astype(np.float32))
    return replace(TINY, data=DataConfig(source=str(path)), batch_size=64, sample_every=10_000)


# the distance oscillates at first; with this rate it falls from step 30 to 40
FALLING = {"lr": 5e-4}


@pytest.mark.parametrize(("steps", "overrides", "learns"), [(40, FALLING, True), (2500, {}, False)])
def test_a_row_says_whether_its_method_still_learns(
    one_gaussian, tmp_path, steps, overrides, learns
):
    schedule = "constant" if learns else one_gaussian.schedule
    base = replace(one_gaussian, steps=steps, schedule=schedule, log_every=max(1, steps // 100))
    found = compare(base, methods=["sn"], overrides=overrides, out=tmp_path / "compared")
    (cell,) = found.result.summary
    assert (cell.learning is not None) == learns
    line = found.table().splitlines()[2]
    assert ("still learning: w1" in line) == learns
    page = (tmp_path / "compared" / "compare.html").read_text()
    assert ("still learning: w1" in page) == learns
    if learns:
        assert 0.05 < cell.learning.gain < 1
