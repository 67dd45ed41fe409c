"""generator.safetensors as a model by itself: its settings, what it keeps back, damaged files."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import sngan
from helpers.folders import contents, tiny
from sngan.cli import main
from sngan.config import Config, DataConfig, EvaluationConfig, ModelConfig
from sngan.runs.model_file import read_model_file, settings_to_share, write_model_file
from sngan.runs.networks import build_networks
from sngan.utils.tensor_files import read_metadata


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return sngan.train(tiny(tmp_path_factory.mktemp("made") / "run"))


@pytest.fixture
def file(run, tmp_path):
    return Path(shutil.copy(run.folder / "generator.safetensors", tmp_path / "model.safetensors"))


def parts(file: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    return read_metadata(file), load_file(file)


def test_the_one_file_gives_the_samples_of_its_run(run, file):
    alone = sngan.load(file)
    assert torch.equal(alone.generate(20, seed=3), run.generate(20, seed=3))
    assert alone.config.model == run.config.model
    assert alone.config.method == run.config.method


def test_commands_take_the_file(run, file, tmp_path):
    for name, source in (("a.npz", file), ("b.npz", run.folder)):
        assert main(["generate", str(source), "--n", "30", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    table = str(tmp_path / "x.json")
    flags = ["--samples", "64", "--json", table, "--data", "ring8"]
    assert main(["evaluate", str(file), *flags]) == 0
    assert json.loads(Path(table).read_text())


def test_an_evaluation_of_the_file_writes_nothing_beside_it(file, tmp_path, capsys, caplog):
    before = contents(tmp_path)
    assert main(["evaluate", str(file), "--samples", "64", "--data", "grid25"]) == 0
    assert contents(tmp_path) == before
    assert (capsys.readouterr().err, caplog.text) == ("", "")


def test_any_reader_of_safetensors_reads_it(run, file):
    state = run.generator.state_dict()
    assert load_file(file).keys() == state.keys()
    for name, tensor in load_file(file).items():
        assert torch.equal(tensor, state[name])


def test_equal_runs_give_equal_bytes(run, tmp_path):
    for name in ("a", "b"):
        write_model_file(run.generator, tmp_path / name, run.config)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("source", "shared"),
    [
        ("/home/me/photos", "photos"),
        ("/photos/", "photos"),
        ("~/photos", "photos"),
        ("../secret/photos", "photos"),
        ("C:\\Users\\me\\photos", "photos"),
        ("shards:/data/me/train-{000..099}.tar", "shards:train-{000..099}.tar"),
        ("photos/cats", "photos/cats"),
        ("hf:user/name:train", "hf:user/name:train"),
        ("digits", "digits"),
        ("package.module:function", "package.module:function"),
    ],
)
def test_paths_of_the_machine_stay_here(source, shared):
    config = Config(
        data=DataConfig(source=source, labels="/home/me/labels.csv"),
        evaluation=EvaluationConfig(weights="/home/me/inception.pt"),
        out="/home/me/runs/x",
    )
    settings = settings_to_share(config)
    assert settings["data"]["source"] == shared
    assert "/home" not in json.dumps(settings)
    assert "performance" not in settings


def test_class_names_stay_whatever_they_are(tmp_path):
    names = ("null", "1e3", "é\n", "/home/me", "a: b", "{}")
    model = ModelConfig(
        name="cnn", width=0.05, latent_dim=3, sample_shape=(1, 8, 8), conditional=True,
        class_names=names,
    )  # fmt: skip
    config = Config(model=model)
    write_model_file(build_networks(config)[0], tmp_path / "m.safetensors", config)
    assert sngan.load(tmp_path / "m.safetensors").config.model.class_names == names


def test_a_file_of_an_earlier_version_gets_a_clear_line(file, capsys):
    metadata, tensors = parts(file)
    for kept in ({"sngan sha256": metadata["sngan sha256"]}, None):
        save_file(tensors, file, metadata=kept)
        with pytest.raises(ValueError, match=r"^run: expected .*earlier versions need their run "):
            sngan.load(file)
    assert main(["generate", str(file), "--out", str(file.parent / "x.npz")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_folder_with_such_a_file_still_loads(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    metadata, tensors = parts(folder / "generator.safetensors")
    only = {"sngan sha256": metadata["sngan sha256"]}
    save_file(tensors, folder / "generator.safetensors", metadata=only)
    assert torch.equal(sngan.load(folder).generate(9), run.generate(9))


def test_changed_settings_and_weights_are_noticed(file):
    metadata, tensors = parts(file)
    text = metadata["sngan settings"]
    changed = {**metadata, "sngan settings": text.replace("latent_dim: 2", "latent_dim: 3")}
    assert changed != metadata
    save_file(tensors, file, metadata=changed)
    with pytest.raises(ValueError, match="expected whole settings"):
        sngan.load(file)
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] + 1}, file, metadata=metadata)
    with pytest.raises(ValueError, match="its checksum is wrong"):
        sngan.load(file)


def test_settings_of_another_network_are_refused(run, tmp_path):
    from dataclasses import replace

    config = replace(run.config, model=replace(run.config.model, latent_dim=5))
    write_model_file(run.generator, tmp_path / "m.safetensors", config)
    with pytest.raises(ValueError, match="expected weights that fit the settings"):
        read_model_file(tmp_path / "m.safetensors")


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"^run: expected a whole safetensors file, got"):
        sngan.load(tmp_path / "x.safetensors")


def test_commands_that_need_the_critic_say_so(file, capsys):
    assert main(["lipschitz", str(file)]) == 2
    line = capsys.readouterr().err
    assert "run: expected a run folder, whose checkpoints hold the critic" in line
    assert line.count("\n") == 1
