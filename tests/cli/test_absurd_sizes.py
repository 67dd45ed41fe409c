"""Sizes that no machine has are refused in one line, before anything is written."""

import pytest
import torch

from sngan import data
from sngan.cli import main
from sngan.config import Config, ModelConfig, PerformanceConfig
from sngan.data import memory
from sngan.engine import TrainState
from sngan.engine.memory import require_memory
from sngan.engine.resolve import resolve_config
from sngan.engine.steps import score

SIZES = [
    *("width=1e5", "width=1e9", "width=1e300", "latent_dim=1000000000000"),
    *("latent_dim=9223372036854775807", "batch_size=1000000000", "batch_size=9223372036854775807"),
    *("n_critic=1000000000", "resolution=1000000", "resolution=9223372036854775807"),
]


@pytest.mark.parametrize("source", ["digits", "ring8"])
@pytest.mark.parametrize("setting", SIZES)
def test_an_absurd_size_is_one_line_and_leaves_nothing(tmp_path, capsys, setting, source):
    if source == "ring8" and setting.startswith("resolution"):
        pytest.skip("points have no resolution")
    out = tmp_path / "out"
    argv = ["train", "--data", source, "--steps", "1", "--out", str(out), "--device", "cpu"]
    assert main([*argv, "--set", "model.width=0.1", setting]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert setting.partition("=")[0] in line
    assert "of memory" in line or "fit into memory" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
@pytest.mark.parametrize("conditional", [False, True])
def test_the_least_need_is_below_what_a_training_takes(monkeypatch, name, conditional):
    """The bound counts from below: a third of it is refused, and all that torch keeps fits."""
    dataset = data.open_source("ring8" if name == "mlp" else "digits")
    conditional = conditional and dataset.labels is not None
    model = ModelConfig(name=name, width=0.25, conditional=conditional)
    config = Config(model=model, batch_size=512, performance=PerformanceConfig(device="cpu"))
    config = resolve_config(config, dataset)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    state = TrainState.build(config, dataset)
    real, labels = state.sampler.next()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        score(state, torch.cat([real, real]), None if labels is None else labels.repeat(2))
    networks = (state.generator.module, state.critic.module)
    # weights, gradients and both moments of Adam
    taken = sum(kept.values()) + 16 * sum(p.numel() for n in networks for p in n.parameters())
    taken += config.batch_size * 4 * (config.model.latent_dim + 5 * real[0].numel())
    monkeypatch.setattr(memory, "total_memory", lambda: taken)
    require_memory(config)
    monkeypatch.setattr(memory, "total_memory", lambda: taken // 6)
    with pytest.raises(ValueError, match=r"^(model|batch_size): expected .* of memory, got"):
        require_memory(config)
