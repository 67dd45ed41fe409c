"""A finished or growing run on disk: its settings, its generator, samples from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sngan import checkpoint, models
from sngan import config as configs
from sngan._checks import require, require_count
from sngan.config import Config

CONFIG, GENERATOR, CHECKPOINTS = "config.yaml", "generator.safetensors", "checkpoints"


@dataclass(frozen=True)
class Run:
    """A run folder, its resolved settings and its averaged generator in eval mode."""

    folder: Path
    config: Config
    generator: nn.Module

    def generate(self, n: int, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """Draw ``n`` samples on the CPU; the same ``seed`` gives the same samples.

        Returns
        -------
        Tensor
            Images ``(n, channels, height, width)`` in [-1, 1], or points ``(n, dim)``.

        Raises
        ------
        ValueError
            ``n`` is not a positive integer, or labels are given to an unconditional generator.
        """
        require(labels is None, "labels", expected="none for this generator", got="labels")
        return torch.cat(list(self.batches(n, seed=seed)))

    @torch.no_grad()
    def batches(self, n: int, *, seed: int = 0, batch_size: int = 256) -> Iterator[Tensor]:
        """Yield what :meth:`generate` returns in parts, for more samples than fit in memory."""
        require_count(n, "n")
        device = next(self.generator.parameters()).device
        noise = noise_from_seed(n, self.config.model.latent_dim, seed=seed)
        for part in noise.split(batch_size):
            yield self.generator(part.to(device)).cpu()


def load(folder: str | Path, *, device: str = "cpu") -> Run:
    """Open a run folder. The training data is not needed.

    Raises
    ------
    ValueError
        The folder is no run, or its files do not fit each other.
    """
    folder = Path(folder)
    config = configs.load(folder / CONFIG)
    path = folder / GENERATOR
    require(path.is_file(), "run", expected=f"a {GENERATOR} (train first)", got=f"none in {folder}")
    generator, _ = _networks(config)
    generator.load_state_dict(_read_weights(path))
    return Run(folder, config, generator.eval().requires_grad_(False).to(device))


def load_critic(folder: str | Path) -> nn.Module:
    """Return the critic of a run's newest readable checkpoint, on the CPU in eval mode.

    Raises
    ------
    ValueError
        The folder is no run, or has no readable checkpoint.
    """
    folder = Path(folder)
    _, critic = _networks(configs.load(folder / CONFIG))
    saved, _ = checkpoint.read_newest(folder / CHECKPOINTS)
    critic.load_state_dict(saved["critic"])
    return critic.eval().requires_grad_(False)


def _networks(config: Config) -> tuple[nn.Module, nn.Module]:
    shape = config.model.sample_shape
    require(shape is not None, "run", expected="a resolved config.yaml", got="no sample_shape")
    assert shape is not None
    return models.build(
        config.model.name, shape, latent_dim=config.model.latent_dim, width=config.model.width
    )


def save_generator(generator: nn.Module, folder: Path) -> None:
    """Write ``generator.safetensors`` to a temporary file and rename it."""
    from safetensors.torch import save_file

    temporary = folder / f".{GENERATOR}.tmp"
    save_file({k: v.contiguous() for k, v in generator.state_dict().items()}, temporary)
    temporary.replace(folder / GENERATOR)


def noise_from_seed(n: int, latent_dim: int, *, seed: int) -> Tensor:
    """Standard normal noise ``(n, latent_dim)``, drawn on the CPU so that devices agree."""
    return torch.randn(n, latent_dim, generator=torch.Generator().manual_seed(seed))


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"run: expected whole weights, got {path} ({error})") from error
