"""The precision of a run: what suits its device and data, and what stays in float32."""

import platform
from pathlib import Path

import pytest
import torch

from helpers.training import build, tiny
from sngan.config import PerformanceConfig
from sngan.engine import precision, train_step
from sngan.engine.steps import generate, score


@pytest.mark.parametrize(
    ("wanted", "device", "is_images", "has_bfloat16", "is_half"),
    [
        ("auto", "cpu", True, True, False),
        ("auto", "cuda", True, True, True),
        ("auto", "cuda", False, True, False),
        ("auto", "cuda", True, False, False),
        ("32-true", "cuda", True, True, False),
        ("bf16-mixed", "cpu", True, True, True),
        ("bf16-mixed", "cuda", False, True, True),
    ],
)
def test_auto_is_bfloat16_for_images_on_a_gpu_that_has_it(
    monkeypatch, caplog, wanted, device, is_images, has_bfloat16, is_half
):
    asked = {}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: asked.update(options))
    precision.autocast_for(wanted, torch.device(device), is_images=is_images)()
    assert asked == {"enabled": is_half}
    lines = [record.getMessage() for record in caplog.records]
    falls_back = wanted == "auto" and device == "cuda" and not has_bfloat16
    assert lines == ["performance.precision: 32-true, as this GPU has no bfloat16"] * falls_back


@pytest.mark.parametrize("avx512", [False, True])
@pytest.mark.parametrize("amx", [False, True])
@pytest.mark.parametrize("wanted", ["auto", "32-true", "bf16-mixed"])
def test_a_cpu_without_bfloat16_is_named(monkeypatch, caplog, wanted, avx512, amx):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    precision.autocast_for(wanted, torch.device("cpu"), is_images=True)
    lines = [record.getMessage() for record in caplog.records]
    is_slow = wanted == "bf16-mixed" and not (avx512 or amx)
    assert len(lines) == is_slow
    assert all("16 times slower than 32-true" in line for line in lines)


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="needs Linux's list of flags")
def test_torch_and_the_kernel_agree_on_bfloat16():
    flags = Path("/proc/cpuinfo").read_text().split()
    if platform.machine() != "x86_64":
        assert precision.cpu_has_bfloat16()
    elif not {"avx512_bf16", "amx_tile"} & set(flags):
        assert not precision.cpu_has_bfloat16()
    elif "avx512_bf16" in flags:
        assert precision.cpu_has_bfloat16()


@pytest.mark.parametrize("method", ["sn", "wgan-gp", "r3gan", "bn"])
def test_only_the_passes_are_in_bfloat16(tmp_path, method):
    """Products are rounded to 8 bits; weights, scores, losses, gradients and norms are not."""
    settings = PerformanceConfig(device="cpu", precision="bf16-mixed")
    config = tiny(tmp_path, method=method, performance=settings)
    state, exact = build(config), build(tiny(tmp_path, method=method))
    products = set()
    for layer in state.critic.module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(lambda _, __, output: products.add(output.dtype))
    noise = torch.randn(8, 8)
    fake, expected = generate(state, noise, None), generate(exact, noise, None)
    assert fake.dtype == torch.float32
    assert 0 < (fake - expected).abs().max() < 0.05
    scores = score(state, fake, None)
    assert scores.dtype == torch.float32
    assert products == {torch.bfloat16}
    terms = train_step(config, state)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    for network in (state.generator, state.critic):
        assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert {sigma.dtype for sigma in state.sigmas().values()} == {torch.float32}
