"""Code of one's own by name: trained from the command line, and never imported from a stranger."""

import io
import os
import shutil
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from helpers.commands import Command
from helpers.forkserver import in_forked_process
from helpers.own_parts import MODULE
from sngan import Config, load, train
from sngan.cli import main
from sngan.utils import consent
from sngan.utils.consent import NoConsentError

ALL = (
    "--model=parts_a:build --loss parts_a:loss --set method.penalty=parts_a:penalty "
    "penalty_weight=0.1 --data parts_a:points --method parts_a:method --extractor parts_a:features "
    "--steps 3 --batch_size 8 --log_every 3 --samples 30 --out run"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a module of parts, and a run that was trained on all of them."""
    place = tmp_path_factory.mktemp("own")
    (place / "parts_a.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        status, said = ended(*f"train {ALL}".split())
    assert status == 0, said
    return place


@pytest.fixture
def stranger(folder, tmp_path, monkeypatch):
    """A copy of the run and of its module, in a folder where nothing has been imported yet."""
    shutil.copytree(folder / "run", tmp_path / "run")
    shutil.copy(folder / "parts_a.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(*arguments):
    command = Command(*arguments)
    out, err = command.communicate()
    return command.returncode, out + err


READS = {
    "generate": "generate run --n 3 --out out.npz",
    "evaluate": "evaluate run",
    "evaluate on other data": "evaluate run --data ring8",
    "lipschitz": "lipschitz run --upper-only",
    "generate from the file alone": "generate run/generator.safetensors --n 3 --out file.npz",
    "evaluate the file alone": "evaluate run/generator.safetensors --data ring8",
    "export": "export run --out model.safetensors",
    "export a page": "export run/generator.safetensors --out page.html",
    "resume": "train --resume --out run --steps 4",
    "settings of the run": "train --config run/config.yaml --out other",
}
REFUSED = {
    **READS,
    "morph": "morph run --seeds 1,2 --out morph.gif",
}
NEEDS_NONE = {"report": "report run", "doctor": "doctor run"}


@pytest.mark.parametrize("name", REFUSED)
def test_no_command_imports_what_only_the_run_names(name, stranger):
    status, said = ended(*REFUSED[name].split())
    assert status == 2
    assert not (stranger / "imported.txt").exists()
    assert said.count("\n") == 1
    assert "expected consent to run code that only a run folder names: --allow-code" in said


@pytest.mark.parametrize("name", NEEDS_NONE)
def test_pages_and_judgements_need_no_code(name, stranger):
    assert ended(*NEEDS_NONE[name].split())[0] == 0
    assert not (stranger / "imported.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", READS)
def test_every_command_runs_with_consent(name, stranger):
    status, said = ended(*READS[name].split(), "--allow-code")
    assert status == 0, said
    assert (stranger / "imported.txt").exists()


def test_the_same_name_on_the_command_line_is_consent(stranger):
    status, said = ended(*f"{READS['generate']} --model parts_a:build".split())
    assert status == 0, said
    assert (
        np.load("out.npz")["images" if "images" in np.load("out.npz") else "samples"].shape[0] == 3
    )
    assert ended(*f"{READS['generate']} --overwrite --model parts_a:other".split())[0] == 2


@pytest.mark.parametrize("key", ["name", "loss", "penalty", "extractor", "source", "method"])
def test_each_setting_alone_is_guarded(key, stranger):
    settings = yaml.safe_load(Path("run/config.yaml").read_text())
    plain = {
        ("model", "name"): "mlp", ("method", "loss"): "hinge", ("method", "penalty"): "r1",
        ("evaluation", "extractor"): "points", ("data", "source"): "ring8",
        ("method", "name"): "sn",
    }  # fmt: skip
    for group, name in plain:
        if not (name == key or (key == "method" and (group, name) == ("method", "name"))):
            settings[group][name] = plain[group, name]
    if key == "method":
        settings["model"]["name"] = "mlp"
        del settings["method"]["lr"]
    Path("run/config.yaml").write_text(yaml.safe_dump(settings))
    commands = (*REFUSED.values(), *NEEDS_NONE.values())
    assert in_forked_process(those_that_import, stranger, commands) == []


def those_that_import(folder, commands):
    """The commands up to the first one that imports the module of the run, one after the other."""
    os.chdir(folder)
    tried = []
    with redirect_stderr(io.StringIO()):
        for command in commands:
            tried.append(command)
            main(command.split())
            if Path("imported.txt").exists():
                return tried
    return []


def test_python_asks_for_consent_too(stranger):
    before = consent.consent()
    consent.restore(consent.Consent())
    try:
        with pytest.raises(NoConsentError, match=r"^model.name: .*allow_code=True"):
            load("run")
        config = Config(model="parts_a:build", data="parts_a:points", steps=4, out="run")
        assert not Path("imported.txt").exists()
        run = load("run", allow_code=True)
        assert Path("imported.txt").exists()
        assert run.generate(3).shape == (3, 2)
        assert config.model.is_own
    finally:
        consent.restore(before)


def test_settings_of_a_loaded_run_are_no_consent(stranger):
    before = consent.consent()
    consent.restore(consent.Consent())
    try:
        settings = yaml.safe_load(Path("run/config.yaml").read_text())
        settings["model"]["name"] = "mlp"
        settings["data"]["source"], settings["method"]["penalty"] = "ring8", "none"
        settings["evaluation"]["extractor"] = "points"
        Path("run/config.yaml").write_text(yaml.safe_dump(settings))
        from sngan.runs.weights import read_config

        config = read_config(Path("run"))
        with pytest.raises(NoConsentError, match=r"^method.loss: "):
            train(config, overwrite=True)
        assert not Path("imported.txt").exists()
    finally:
        consent.restore(before)


def test_settings_that_a_person_wrote_may_name_code(stranger):
    Path("config.yaml").write_text(
        "model: {name: parts_a:build}\ndata: {source: parts_a:points}\n"
        "steps: 1\nbatch_size: 8\nout: mine\n"
    )
    status, said = ended("train", "--config", "config.yaml")
    assert status == 0, said


def test_callbacks_by_name_stop_the_run(folder, tmp_path, monkeypatch):
    shutil.copy(folder / "parts_a.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    flags = "train --data ring8 --steps 9 --batch_size 8 --width 0.1 --out run"
    status, said = ended(*flags.split(), "--callbacks", "parts_a:Stop")
    assert status == 0, said
    assert "stopped at step 2: it is enough" in said
    state = torch.load("run/checkpoints/last.pt", weights_only=True)
    assert state["step"] == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--model no_such_module:build", "model.name: the module 'no_such_module' cannot be"),
        ("--loss math:sqrt", "method.loss: expected a sngan.losses.LossPair"),
        ("--loss math:no", "method.loss: 'math' has no 'no'"),
        ("--penalty math:pi", "method.penalty: expected a function, got 3.14"),
        ("--method math:pi", "method: expected a sngan.Method, got math:pi, 3.14"),
        ("--model math:pi", "model.name: expected a function, got math:pi, 3.14"),
        ("--model math:sqrt", "model.name: expected a factory of networks, got math:sqrt, which f"),
        ("--data math:sqrt", "data: expected a function that returns data, got math:sqrt, which f"),
        ("--data math:pi", "data: expected a sngan.data.Dataset"),
        ("--callbacks math:pi", "callbacks: expected a sngan.callbacks.Callback"),
        ("--callbacks wandv", "callbacks: expected one of mlflow, wandb, got 'wandv'"),
        ("--early_stop w2", "early_stop: expected one of"),
        ("--early_stop w1 --patience 0", "patience: expected an integer of at least 1"),
    ],
)
def test_wrong_parts_are_refused_in_one_line(flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status = main(["train", *["--data", "ring8", "--out", "run", "--steps", "2"], *flags.split()])
    said = capsys.readouterr().err
    assert status == 2
    assert said.startswith(f"sngan: error: --{message}"), said
    assert said.count("\n") == 1
    assert not Path("run").exists()
