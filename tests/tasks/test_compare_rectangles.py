"""A comparison on images that are no squares, from the command line to its page."""

import json

import numpy as np
import pytest

from sngan.cli import main


@pytest.mark.slow
def test_a_comparison_of_rectangles_ends_with_its_page(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    out = tmp_path / "compare"
    settings = "resolution=8x16 width=0.05 model=cnn batch_size=8 n_critic=1 log_every=1"
    settings += " evaluation.samples=20 extractor=pixels device=cpu"
    argv = f"compare --data {tmp_path}/images.npz --methods sn,wgan-gp --steps 2 --out {out} --set"
    assert main([*argv.split(), *settings.split()]) == 0
    runs = json.loads((out / "compare.json").read_text())["runs"]
    assert [run["error"] for run in runs] == [None, None]
    assert (out / "compare.html").is_file()
