"""The precision of a run: what suits its device and data, and what stays in float32."""

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
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: asked.update(options))
    precision.autocast_for(wanted, torch.device(device), is_images=is_images)()
    assert asked == {"enabled": is_half}
    lines = [record.getMessage() for record in caplog.records]
    falls_back = wanted == "auto" and device == "cuda" and not has_bfloat16
    assert lines == ["performance.precision: 32-true, as this GPU has no bfloat16"] * falls_back


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
