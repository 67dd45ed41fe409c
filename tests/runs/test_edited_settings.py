"""A ``config.yaml`` that a person changed, or that is another program's, is one clear line."""

import re
import shutil

import pytest
import yaml

from helpers.folders import SMALL, contents
from sngan.cli import main
from sngan.utils.fitting import MisfitError, require_fit

COMMANDS = {
    "generate": ["generate", "RUN", "--n", "4", "--out", "new.png"],
    "evaluate": ["evaluate", "RUN", "--samples", "20"],
    "lipschitz": ["lipschitz", "RUN", "--upper-only"],
    "report": ["report", "RUN"],
}
# of settings that other weights would fit
MISFITS = {
    "latent_dim": 3,
    "width": 0.5,
    "sample_shape": [3],
    "class_names": ["a", "b"],
}
REFUSED = {"name": "cnn", "width": 1e12, "latent_dim": "two", "attention": 4, "colour": "red"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "--out", str(folder), "--steps", "2", *SMALL]) == 0
    return folder


def edited(trained, tmp_path, **changes):
    folder = shutil.copytree(trained, tmp_path / "run")
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    settings["model"] |= changes
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def error_of(argv, folder, capsys):
    """The one line of a refused command, which changes nothing."""
    before = contents(folder)
    assert main([str(folder) if word == "RUN" else word for word in argv]) == 2
    assert contents(folder) == before
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("sngan: error: ")
    return line


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("key", MISFITS)
def test_settings_of_other_weights_name_both_files_and_shapes(
    trained, tmp_path, monkeypatch, capsys, key, command
):
    monkeypatch.chdir(tmp_path)
    folder = edited(trained, tmp_path, **{key: MISFITS[key]})
    line = error_of(COMMANDS[command], folder, capsys)
    assert line.startswith(f"sngan: error: run: expected {folder}/config.yaml ")
    assert f"{folder}/generator.safetensors: layers." in line
    assert re.search(r"is \d+(×\d+)? in the file, and \d+(×\d+)? by the settings$", line)
    assert not (tmp_path / "new.png").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("key", REFUSED)
def test_settings_that_are_none_name_the_run(trained, tmp_path, monkeypatch, capsys, key, command):
    monkeypatch.chdir(tmp_path)
    folder = edited(trained, tmp_path, **{key: REFUSED[key]})
    line = error_of(COMMANDS[command], folder, capsys)
    assert line.startswith("sngan: error: run: expected ")
    assert f"{folder}/config.yaml" in line
    assert key in line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_foreign_config_names_the_run(tmp_path, capsys, command):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "config.yaml").write_text("title: my site\n")
    (folder / "thesis.tex").write_text("mine")
    line = error_of(COMMANDS[command], folder, capsys)
    assert line.startswith("sngan: error: run: expected ")
    assert str(folder) in line


@pytest.mark.parametrize("key", ["latent_dim", "width"])
def test_resume_names_the_setting_the_files_and_the_tensor(trained, tmp_path, capsys, key):
    folder = edited(trained, tmp_path, **{key: MISFITS[key]})
    line = error_of(["train", "--out", "RUN", "--resume", "--steps", "3"], folder, capsys)
    assert line.startswith("sngan: error: --resume: expected the run's own settings, got ")
    for named in (f"model.{key}: ", f"{folder}/config.yaml", f"{folder}/checkpoints/last.pt: lay"):
        assert named in line


def test_resume_of_unknown_settings_names_the_flag_that_was_given(trained, tmp_path, capsys):
    folder = edited(trained, tmp_path, colour="red")
    line = error_of(["train", "--out", "RUN", "--resume", "--steps", "3"], folder, capsys)
    assert line.startswith("sngan: error: --resume: expected a run folder at --out ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s | {"more": s["bias"]}, "more is 2 in the file, and missing by the settings"),
        (lambda s: {"bias": s["bias"]}, "weight is missing in the file, and 2×3 by the settings"),
        (lambda s: s | {"bias": s["bias"][:1]}, "bias is 1 in the file, and 2 by the settings"),
        (lambda s: s | {"bias": "x"}, "bias is no tensor in the file, and 2 by the settings"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(change, told):
    import torch

    with torch.device("meta"):
        outline = torch.nn.Linear(3, 2)
    state = torch.nn.Linear(3, 2).state_dict()
    require_fit(outline, state)
    with pytest.raises(MisfitError, match=told):
        require_fit(outline, change(dict(state)))
