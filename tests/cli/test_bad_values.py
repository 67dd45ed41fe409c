"""Nonsense as the value of a setting: one line that repeats it, and nothing is written."""

import re

import pytest

from sngan.cli.main import main

NONSENSE = ("text", "nan", "1e999", "-1", "", " ", "[1,2]", "{}", "true", "1->", "0.5->nan", "p=2")
# refused by the setting ``evaluation.best``, so a value that is accepted starts no training
STOP = ["--set", "evaluation.every=1", "evaluation.best=unknown"]
ACCEPTED = {
    *[("method.lr_critic", ""), ("ema_halflife", ""), ("data.augment", "")],
}
KEYS = [
    *["method.lr", "method.lr_critic", "method.penalty_weight", "method.betas", "ema_decay"],
    *["ema_halflife", "method.spectral_norm_generator", "method.coefficient_generator"],
    *["model.init", "model.attention", "model.pack", "model.minibatch_std", "schedule"],
    *["performance.accumulate", "performance.replay", "data.augment", "data.augment_target"],
    *["data.augment_images", "data.held_out", "method.n_critic", "batch_size"],
]


@pytest.mark.parametrize("key", KEYS)
def test_nonsense_is_repeated_in_one_line(tmp_path, monkeypatch, capsys, key):
    monkeypatch.chdir(tmp_path)
    for value in NONSENSE:
        assert main(["train", "--data", "digits", f"--{key}={value}", *STOP]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        if (key, value) in ACCEPTED:
            assert line.startswith("sngan: error: --evaluation.best: ")
            continue
        said = re.fullmatch(rf"sngan: error: --{key}: expected (.+), got (.+)", line)
        assert said, line
        assert "value:" not in line
        assert "class '" not in line
        assert not list(tmp_path.iterdir())
