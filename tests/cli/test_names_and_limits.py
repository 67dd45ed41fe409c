"""Names stay text; YAML and JSON are read under limits; the cache has a bound."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sngan import config as configs
from sngan.cli import flags, main
from sngan.cli.compare import add_arguments
from sngan.cli.parser import CommandParser
from sngan.config import Config, DataConfig, ModelConfig
from sngan.methods import METHODS
from sngan.utils import cache as cache_folder
from sngan.utils.plain import flatten, parse_yaml, read_json, to_yaml

NAMES = [
    "695e0514", "1e3", "null", "~x", "true", "No", "0x1f", "1_000", "007", "1:30", "2001-01-01",
    ".inf", "nan", "", " a", "a: b", "- a", "#x", "é", "日本", "&a", "*a", "!x", "a\nb",
]  # fmt: skip


@cache
def parser():
    made = CommandParser("train", description="")
    flags.add_config_flags(made)
    return made


def parsed(argv):
    return parser().parse(argv)


@pytest.mark.parametrize("name", [name for name in NAMES if name])
def test_names_stay_text_from_flags_and_files(tmp_path, name):
    path = tmp_path / "config.yaml"
    model = ModelConfig(class_names=(name, "b"))
    configs.save(Config(data=DataConfig(source=name), out=name, model=model), path)
    assert configs.load(path).model.class_names == (name, "b")
    assert configs.load(path).data.source == name
    values = parsed(["--config", str(path)])
    assert (values["data"]["source"], values["out"]) == (name, name)
    assert tuple(values["model"]["class_names"]) == (name, "b")
    for key in ("out", "data", "weights"):
        flat = flatten(parsed([f"--{key}={name}"]))
        assert name in (flat["out"], flat["data.source"], flat["evaluation.weights"])


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**9), 10**9)
        | st.sampled_from(NAMES)
        | st.text(max_size=5)
        | st.floats(allow_nan=False),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_what_is_written_is_read_the_same_by_every_reader(values):
    text = to_yaml(values)
    assert parse_yaml(text) == yaml.safe_load(text) == values


def test_numbers_with_an_exponent_are_numbers(tmp_path):
    (tmp_path / "a.yaml").write_text("method: {lr: 1e-4, betas: [0, 9e-1]}\ndata: {source: 1e3}\n")
    values = parsed(["--config", str(tmp_path / "a.yaml")])
    assert values["method"]["lr"] == 1e-4
    assert list(values["method"]["betas"]) == [0, 0.9]
    assert values["data"]["source"] == "1e3"


SHARED = {"batch_size": 7, "data.source": "ring8", "model.width": 0.5}


@pytest.mark.parametrize("form", ["--config={}", "--config {}"])
def test_a_comparison_takes_the_settings_of_a_run_but_its_method(tmp_path, form):
    run = Config(
        out="runs/a", seed=5, preset="none", batch_size=7,
        data=DataConfig(source="ring8"), model=ModelConfig(width=0.5),
        method=replace(METHODS["wgan"], lr=0.5),
    )  # fmt: skip
    configs.save(run, tmp_path / "config.yaml")
    parser = CommandParser("compare", description="")
    add_arguments(parser)
    argv = form.format(tmp_path / "config.yaml").split(" ")
    values = flatten(parser.parse([*argv, "--method.n_critic=3"]))
    assert {key: values[key] for key in SHARED} == SHARED
    given = {key: one for key, one in values.items() if key.startswith("method.") and one}
    assert given == {"method.n_critic": 3}
    assert (values["seed"], values["out"]) == (0, "")
    # without a method, the settings hold for all methods
    (tmp_path / "config.yaml").write_text("method: {lr: 0.25}\nseed: 4\n")
    values = flatten(parser.parse(argv))
    assert (values["method.lr"], values["seed"]) == (0.25, 4)


def bomb(levels, width=9):
    lines = ["a0: &a0 [x]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines)


HOSTILE = {
    "aliases": bomb(12),
    "merged": "a: &a {x: &x [*x]}",
    "deep list": "[" * 50_000,
    "deep mapping": "{a: " * 50_000,
    "deep block": "\n".join(" " * i + "a:" for i in range(2000)),
    "digits": "steps: " + "9" * 10**6,
    "tagged digits": f"seed: !!int '0x{'f' * 5000}'",
    "tagged later": f"seed: !!int '_0x{'f' * 5000}'",
    "tagged float": f"seed: !!float '{'9' * 5000}'",
    "base 60": "steps: " + ":".join(["1"] * 10**5),
    "large": "a: " + "x" * (5 * 2**20),
    "many": "[" + "1," * 300_000 + "]",
    "many repeated": f"a: &a [{'1,' * 1000}]\nb: [{'*a,' * 300}]",
    "object": "a: !!python/object/apply:os.system ['true']",
    "no text": "\x00\x01",
    "date": "steps: 2001-01-01",
}


# the parser takes seconds for 200,000 values
SLOW = pytest.param("many", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [SLOW if name == "many" else name for name in HOSTILE])
def test_hostile_settings_are_one_line_and_soon(tmp_path, name, capsys):
    path = tmp_path / "config.yaml"
    path.write_text(HOSTILE[name])
    commands = [["train", "--config", str(path)], ["generate", str(tmp_path), "--out", "x"],
                ["report", str(tmp_path)]]  # fmt: skip
    for command in commands:
        assert main(command) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert len(error) < 1000


def test_aliases_of_people_are_read(tmp_path):
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {
        "a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["[" * 10**5, "9" * 10**5, "{", "\x00"])
def test_hostile_json_is_one_line(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        read_json(tmp_path / "a.json")


def test_home_is_put_in_for_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = Config(data=DataConfig(source="shards:~/a.tar"), out="~/run")
    assert config.data.source == f"shards:{tmp_path}/a.tar"
    assert config.out == f"{tmp_path}/run"
    assert main(["cache", "--json", "~/a.json"]) == 0
    assert (tmp_path / "a.json").is_file()


@pytest.fixture
def filled(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "sngan"
    (folder / "metrics").mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    for number in range(4):
        path = folder / "metrics" / f"features-{number}.safetensors"
        path.write_bytes(bytes(100))
        os.utime(path, (number, number))
    return folder


def test_the_cache_shows_its_size_and_is_cleared(filled, capsys):
    for flags_, files in (([], 4), (["--clear"], 4), ([], 0)):
        assert main(["cache", "--json", "-", *flags_]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["files"], found["bytes"]) == (files, 100 * files)
        assert found["folder"] == str(filled)
    assert (filled / "notes.txt").read_text() == "mine"


def test_the_cache_forgets_what_was_used_longest_ago(filled):
    cache_folder.mark_used(filled / "metrics" / "features-0.safetensors")
    cache_folder.trim(limit=250)
    assert sorted(path.name for path in (filled / "metrics").iterdir()) == [
        "features-0.safetensors", "features-3.safetensors",
    ]  # fmt: skip


def test_without_a_home_the_cache_is_temporary():
    code = (
        "import os, pwd; del os.environ['HOME']\n"
        "def none(*_): raise KeyError\n"
        "pwd.getpwuid = none\n"
        "from sngan.utils import cache; print(cache.folder() == cache.folder(), cache.folder())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "XDG_CACHE_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    same, folder = done.stdout.split()
    assert same == "True"
    assert not Path(folder).exists()
    assert "this user has no home folder" in done.stderr
