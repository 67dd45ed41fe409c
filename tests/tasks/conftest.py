"""Comparisons that several test files look at."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

import sngan
from helpers.charts import drawn_once
from helpers.comparisons import compared, quick_evaluator
from helpers.shared import made_once
from sngan.engine.train import Interrupted, TrainingError
from sngan.tasks.compare import runner


@pytest.fixture
def quick_metrics():
    with quick_evaluator():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A comparison that was interrupted once, and in which one run failed."""
    folder = made_once(tmp_path_factory, "comparison", _compare_with_an_interruption)
    return pickle.loads((folder / "comparison.pickle").read_bytes())


def _compare_with_an_interruption(folder: Path) -> None:
    out = folder / "ring"
    trained, really_train = [], sngan.train
    with pytest.MonkeyPatch.context() as patch, quick_evaluator():

        def train(config, *, resume=False):
            trained.append((config.method.name, config.seed, resume))
            if config.method.name == "wgan" and config.seed == 1:
                raise TrainingError("critic_loss was not finite\nat step 3")
            if len(trained) == 2:
                really_train(replace(config, steps=6))
                raise Interrupted("interrupted at step 6")
            return really_train(config, resume=resume)

        patch.setattr(runner, "train", train)
        # the last call below draws the charts that the tests look at
        with drawn_once():
            with pytest.raises(Interrupted, match="interrupted with 1 of 4 runs done; the same"):
                compared(out)
            assert not (out / "compare.json").exists()
            comparison = compared(out)
        assert trained == [
            ("sn", 0, False),
            ("wgan", 0, False),
            ("wgan", 0, True),
            ("sn", 1, False),
            ("wgan", 1, False),
        ]
        stamp = (out / "runs" / "sn-seed0" / "measured.json").stat().st_mtime_ns
        again = compared(out)
        assert trained[5:] == [("wgan", 1, False)]
        assert (out / "runs" / "sn-seed0" / "measured.json").stat().st_mtime_ns == stamp
        assert again.to_dict() == comparison.to_dict()
    (folder / "comparison.pickle").write_bytes(pickle.dumps(comparison))
