"""Sharing: exported files opened by what reads them, the card, the page, and the hub."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import sngan
from helpers.folders import contents, tiny
from helpers.hub import TOKEN, stand_in
from sngan import Config
from sngan.cli import main
from sngan.config import ModelConfig
from sngan.runs.model_file import write_model_file
from sngan.runs.networks import build_networks, noise_from_seed
from sngan.tasks.sharing.export import export_run
from sngan.tasks.sharing.push import push

KINDS = {
    "cnn": ("cnn", (3, 8, 8), True),
    "resnet": ("resnet", (1, 16, 16), False),
    "convnext": ("convnext", (3, 8, 8), True),
    "mlp": ("mlp", (2,), False),
}


def saved(folder: Path, kind: str, **model) -> Path:
    """The file of an untrained generator whose samples are not all grey."""
    name, shape, conditional = KINDS[kind]
    classes = {"conditional": True, "class_names": ("a", "b|c", "<i>")} if conditional else {}
    settings = ModelConfig(
        name=name, width=0.1, latent_dim=7, sample_shape=shape, **classes, **model
    )
    torch.manual_seed(0)
    config = Config(model=settings)
    generator = build_networks(config)[0].eval().requires_grad_(False)
    for parameter in generator.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.3)
    write_model_file(generator, folder / "generator.safetensors", config)
    return folder / "generator.safetensors"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on points with records and pictures."""
    return sngan.train(tiny(tmp_path_factory.mktemp("made") / "ring", steps=4))


def inputs_of(run, n: int) -> tuple[torch.Tensor, ...]:
    labels = run.labels(n)
    noise = noise_from_seed(n, run.config.model.latent_dim, seed=3)
    return (noise,) if labels is None else (noise, labels)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_onnx_is_opened_by_onnxruntime(tmp_path, kind):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    file = saved(tmp_path, kind)
    assert "equal to torch within" in export_run(file, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    run = sngan.load(file)
    for n in (1, 2, 37):
        inputs = inputs_of(run, n)
        given = dict(zip(("noise", "labels"), (one.numpy() for one in inputs), strict=False))
        (found,) = session.run(["samples"], given)
        np.testing.assert_allclose(found, run.generate(n, seed=3), rtol=1e-4, atol=1e-4)
    assert "sngan settings" in session.get_modelmeta().custom_metadata_map


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_pt2_is_opened_by_torch(tmp_path, kind):
    file = saved(tmp_path, kind)
    assert "opened again" in export_run(file, tmp_path / "m.pt2")
    opened = torch.export.load(tmp_path / "m.pt2").module()
    run = sngan.load(file)
    for n in (1, 2, 37):
        torch.testing.assert_close(opened(*inputs_of(run, n)), run.generate(n, seed=3))


def test_safetensors_of_a_run_is_a_model(run, tmp_path):
    export_run(run.folder, tmp_path / "m.safetensors")
    found = sngan.load(tmp_path / "m.safetensors")
    assert torch.equal(found.generate(9), run.generate(9))


def test_a_wrong_export_is_refused_and_leaves_no_file(tmp_path, monkeypatch):
    file = saved(tmp_path, "mlp")
    real = torch.export.save

    def other(program, buffer, **options):
        name, weight = next(iter(program.state_dict.items()))
        program.state_dict[name] = torch.nn.Parameter(weight + 1.0)
        real(program, buffer, **options)

    monkeypatch.setattr("torch.export.save", other)
    with pytest.raises(RuntimeError, match="computes other samples than torch"):
        export_run(file, tmp_path / "m.pt2")
    assert not (tmp_path / "m.pt2").exists()


@pytest.mark.parametrize("name", ["m", "m.pt", "m.onnxx", "m.txt"])
def test_unknown_endings_list_the_known_ones(run, tmp_path, name):
    said = r"^out: expected a file that ends with \.onnx, \.pt2, \.safetensors, \.md or \.html"
    with pytest.raises(ValueError, match=said):
        export_run(run.folder, tmp_path / name)


def test_onnx_without_the_packages_names_them(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"onnxruntime.*pip install 'sngan\[onnx\]'"):
        export_run(run.folder, tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_has_the_hubs_header_and_the_facts(tmp_path, kind):
    export_run(saved(tmp_path, kind), tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text()
    _, header, body = text.split("---\n", 2)
    values = yaml.safe_load(header)
    assert values["library_name"] == "sngan"
    assert "sn" in values["tags"]
    is_of_images = kind != "mlp"
    assert (values.get("pipeline_tag") == "unconditional-image-generation") == is_of_images
    assert "sngan.load(" in body
    assert "arXiv:1802.05957" in body
    if KINDS[kind][2]:
        # names of classes stay one cell of the table, and no markup
        assert r"a, b\|c, \<i\>" in body


def test_the_card_of_a_run_has_its_metrics(tmp_path):
    from dataclasses import replace

    from sngan.config import EvaluationConfig

    config = replace(
        tiny(tmp_path / "run", steps=4), evaluation=EvaluationConfig(every=2, samples=64)
    )
    run = sngan.train(config)
    export_run(run.folder, tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text()
    (index,) = yaml.safe_load(text.split("---\n")[1])["model-index"]
    found = {one["type"]: one["value"] for one in index["results"][0]["metrics"]}
    assert "w1" in found
    assert f"| w1 | {found['w1']:.4g} | mean way that features must move" in text
    assert "features of the points themselves" in text
    assert r"| modes\_of | 8 | modes that the data has |" in text
    assert "modes" in found
    assert not {"modes_of", "kernel_error"} & set(found)
    assert "| steps | 4 |" in text


@pytest.mark.parametrize("kind", ["cnn", "mlp"])
def test_the_page_is_one_file_with_samples_and_a_morph(tmp_path, kind):
    export_run(saved(tmp_path, kind), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("data:image/png;base64,") == (2 if kind == "cnn" else 1)
    assert text.count("data:image/gif;base64,") == (1 if kind == "cnn" else 0)
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert "<script" not in text
    if kind == "cnn":
        assert "&lt;i&gt;" in text
        assert "<i>" not in text


def test_the_page_of_a_run_on_points_has_its_film_and_curves(run, tmp_path):
    export_run(run.folder, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "The training" in text
    assert text.count("data:image/gif;base64,") == 1
    assert "Losses" in text
    assert "<svg" in text


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in of the hub on this machine, for which there is a token."""
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    from huggingface_hub import constants

    with stand_in() as served:
        # the package reads the environment once
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        template = f"{served.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(huggingface_hub.HfApi, "endpoint", served.address, raising=False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        api = huggingface_hub.hf_api.api
        monkeypatch.setattr(api, "endpoint", served.address)
        yield served


def test_a_pushed_run_is_read_wherever_a_run_is_read(run, hub, tmp_path, capsys):
    assert push(run.folder, "hf:me/ring").endswith("/me/ring")
    files = hub.models["me/ring"]
    assert {"README.md", "generator.safetensors", "config.yaml", "metrics.jsonl"} <= set(files)
    assert any(name.startswith("samples/step-") for name in files)
    assert not any("checkpoint" in name or "log" in name for name in files)
    assert str(run.folder.parent).encode() not in b"".join(files.values())
    assert b"![samples](samples.png)" in files["README.md"]
    assert b'sngan.load("hf:me/ring")' in files["README.md"]
    assert torch.equal(sngan.load("hf:me/ring").generate(9), run.generate(9))
    for command in (
        ["generate", "hf:me/ring", "--n", "9", "--out", str(tmp_path / "x.npz")],
        ["film", "hf:me/ring", "--out", str(tmp_path / "x.gif")],
        ["export", "hf:me/ring", "--out", str(tmp_path / "x.md")],
        ["evaluate", "hf:me/ring", "--samples", "64"],
        ["doctor", "hf:me/ring"],
    ):
        assert main(command) == 0, capsys.readouterr().err
    assert main(["lipschitz", "hf:me/ring"]) == 2
    assert "checkpoints hold the critic" in capsys.readouterr().err


def test_a_run_starts_from_one_of_the_hub(run, hub, tmp_path, capsys):
    push(run.folder, "hf:me/ring")
    config = tiny(tmp_path / "far", steps=1, init="hf:me/ring")
    far = sngan.train(config)
    # the local file has the same generator and, as the copy on the hub, no critic
    near = sngan.train(
        tiny(tmp_path / "near", steps=1, init=str(run.folder / "generator.safetensors"))
    )
    assert torch.equal(far.generate(9), near.generate(9))
    assert not torch.equal(
        far.generate(9), sngan.train(tiny(tmp_path / "new", steps=1)).generate(9)
    )
    hub.models.clear()
    sngan.train(replace(config, steps=2), resume=True)
    for name, said in [
        ("hf:me/none", "init: expected a run on the hub, got hf:me/none: none is there"),
        ("hf:me", "init: expected hf:USER/NAME[@REVISION], got 'hf:me'"),
    ]:
        assert main(["train", "--data", "ring8", "--out", str(tmp_path / "x"), "--init", name]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "x").exists()


def test_an_evaluation_leaves_the_copy_of_the_hub_as_it_is(run, hub, tmp_path, capsys, caplog):
    push(run.folder, "hf:me/ring")
    sngan.load("hf:me/ring")
    before = contents(tmp_path / "cache")
    assert main(["evaluate", "hf:me/ring", "--samples", "64"]) == 0
    assert contents(tmp_path / "cache") == before
    assert "not written" not in capsys.readouterr().err + caplog.text


def test_the_file_alone_may_be_published(run, hub):
    content = (run.folder / "generator.safetensors").read_bytes()
    hub.models["other/one"] = {"generator.safetensors": content}
    assert torch.equal(sngan.load("hf:other/one").generate(9), run.generate(9))
    hub.models["other/two"] = {"model.bin": b"x"}
    with pytest.raises(ValueError, match="expected a run of sngan's with"):
        sngan.load("hf:other/two")


def test_private_runs_need_the_token(run, hub, tmp_path, monkeypatch):
    push(run.folder, "hf:me/own", private=True)
    assert hub.private == {"me/own"}
    sngan.load("hf:me/own")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "other"))
    with pytest.raises(ValueError, match="none is there, or it is private"):
        sngan.load("hf:me/own")


@pytest.mark.parametrize(
    ("token", "status", "said"),
    [
        ("", 0, "target: expected a token of the hub, by `hf auth login` or in HF_TOKEN, got none"),
        ("hf_wrong", 0, "target: expected a token with the right to do this with hf:me/x .*401"),
        (TOKEN, 403, "target: expected a token with the right to do this with hf:me/x .*403"),
        (TOKEN, 500, "target: expected the hub to accept hf:me/x, got .*500"),
    ],
)
def test_a_refused_push_is_one_line(run, hub, monkeypatch, capsys, token, status, said):
    monkeypatch.setenv("HF_TOKEN", token)
    hub.status = status
    assert main(["push", str(run.folder), "hf:me/x"]) == 2
    line = capsys.readouterr().err
    assert re.search(said, line), line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:me/none", "run: expected a run on the hub, got hf:me/none: none is there"),
        ("hf:me/ring@v9", "run: expected a revision that the hub has, got hf:me/ring@v9"),
        ("hf:ring", r"run: expected hf:USER/NAME\[@REVISION\], got 'hf:ring'"),
        ("hf:a/b/c", r"run: expected hf:USER/NAME\[@REVISION\]"),
        ("hf:", r"run: expected hf:USER/NAME\[@REVISION\]"),
        ("hf:me/--x..", "run: expected a name of the hub"),
    ],
)
def test_a_name_that_the_hub_does_not_have_is_one_line(hub, tmp_path, capsys, name, said):
    hub.models["me/ring"] = {}
    assert main(["generate", name, "--out", str(tmp_path / "x.png")]) == 2
    line = capsys.readouterr().err
    assert re.search(said, line), line
    assert line.count("\n") == 1


def test_without_network_the_last_copy_is_used(run, hub, monkeypatch):
    from huggingface_hub import constants

    push(run.folder, "hf:me/ring")
    sngan.load("hf:me/ring")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(sngan.load("hf:me/ring").generate(9), run.generate(9))
    with pytest.raises(ValueError, match=r"^run: expected an answer of the hub at http.*got none"):
        sngan.load("hf:me/never")


def test_the_hub_without_its_package_names_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: sngan.load("hf:me/x"), lambda: push(run.folder, "hf:me/x")):
        with pytest.raises(ValueError, match=r"huggingface_hub.*pip install 'sngan\[hub\]'"):
            call()
