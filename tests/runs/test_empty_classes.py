"""Classes without samples: a run remembers them, and draws none of them."""

import numpy as np
import pytest
import torch
import yaml

import sngan
from helpers.folders import SMALL
from sngan.cli import main
from sngan.config import ModelConfig

CLASSES = 6


@pytest.fixture(scope="module", params=[(0, 2, 5), (1, 2, 3, 5), tuple(range(CLASSES))])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    labels = np.resize(np.array(request.param), 32)
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8), np.uint8)
    np.savez(folder / "data.npz", images=images, labels=labels)
    argv = ["train", *SMALL, "--steps", "2", "--set", "conditional=true", "model=cnn"]
    argv += ["--data", str(folder / "data.npz"), "--out", str(folder / "run")]
    assert main(argv) == 0
    return folder / "run", request.param


def test_only_classes_with_samples_are_drawn(trained, tmp_path):
    folder, present = trained
    out = tmp_path / "drawn.npz"
    assert main(["generate", str(folder), "--n", "20", "--out", str(out)]) == 0
    drawn = np.load(out)["labels"]
    assert set(drawn) == set(present)
    assert np.ptp(np.bincount(drawn)[list(present)]) <= 1


def test_a_class_without_samples_is_refused(trained, tmp_path, capsys):
    folder, present = trained
    out = tmp_path / "drawn.npz"
    run = sngan.load(folder)
    for index in range(run.config.model.num_classes):
        argv = ["generate", str(folder), "--n", "2", "--overwrite", "--out", str(out)]
        status = main([*argv, "--label", str(index)])
        error = capsys.readouterr().err
        assert (status == 0) == (index in present)
        if status:
            assert status == 2
            expected = "--label: expected a class that had samples in training, got"
            assert error == f"sngan: error: {expected} {index}, a class without samples\n"
            with pytest.raises(ValueError, match="labels: expected a class that had samples"):
                run.generate(2, labels=torch.tensor([index, present[0]]))


def test_a_run_without_the_record_draws_all(trained):
    folder, _ = trained
    path = folder / "config.yaml"
    kept = path.read_text()
    settings = yaml.safe_load(kept)
    del settings["model"]["empty_classes"]
    path.write_text(yaml.safe_dump(settings))
    try:
        run = sngan.load(folder)
        classes = run.config.model.num_classes
        assert run.labels(classes).tolist() == list(range(classes))
    finally:
        path.write_text(kept)


@pytest.mark.parametrize("empty", [(2,), (-1,), (0, 1), ("a",)])
def test_a_record_of_other_classes_is_refused(empty):
    with pytest.raises(ValueError, match=r"^model\.empty_classes: expected"):
        ModelConfig(class_names=("a", "b"), empty_classes=empty)
