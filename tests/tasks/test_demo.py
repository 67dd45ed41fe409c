"""The demo's promise: digits of all ten classes, judged by a classifier of real digits."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from sngan import METHODS, Config, train
from sngan.config import ModelConfig


@pytest.mark.slow
def test_all_ten_classes_are_among_a_thousand_samples(tmp_path):
    config = Config(
        data="digits",
        method=replace(METHODS["sn"], n_critic=1),
        model=ModelConfig(width=0.5),
        steps=4000,
        out=str(tmp_path / "run"),
    )
    samples = train(config).generate(1000, seed=0)
    digits = load_digits()
    judge = SVC(gamma=0.001, C=10).fit(digits.data, digits.target)
    classes = judge.predict(((samples + 1) * 8).clamp(0, 16).flatten(1).numpy())
    assert np.bincount(classes, minlength=10).min() >= 30
