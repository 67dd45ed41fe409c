"""A finished or growing run on disk: its settings, its generator, samples from it."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sngan import config as configs
from sngan import models
from sngan.config import Config
from sngan.runs import checkpoint
from sngan.runs.names import CHECKPOINTS, CONFIG, GENERATOR
from sngan.utils.checks import require, require_count, require_one_of
from sngan.utils.fitting import MisfitError, require_fit
from sngan.utils.tensor_files import DamagedFileError, read_tensors, write_tensors
from sngan.utils.text import first_line, printable

# torch draws normal numbers by 16: of whole blocks it draws the same, however many at once
_BLOCK = 16
_CPU_BATCH, _LARGEST_BATCH = 64, 1024
_log = logging.getLogger("sngan")


@dataclass(frozen=True)
class Run:
    """A run folder, its resolved settings and its averaged generator in eval mode."""

    folder: Path
    config: Config
    generator: nn.Module

    def generate(self, n: int, seed: int = 0, labels: Tensor | int | None = None) -> Tensor:
        """Draw ``n`` samples on the CPU; the same ``seed`` gives the same samples.

        ``labels`` are class indices of a conditional run, an integer tensor ``(n,)`` or one for
        all; without them it draws all classes in turn, those of which the data had samples.

        Returns
        -------
        Tensor
            Images ``(n, channels, height, width)`` in [-1, 1], or points ``(n, dim)``.

        Raises
        ------
        ValueError
            ``n`` is not a positive integer; labels for an unconditional generator, of another
            shape, out of range, or of a class that had no samples in training.
        """
        return torch.cat(list(self.batches(n, seed=seed, labels=labels)))

    @torch.no_grad()
    def batches(
        self,
        n: int,
        *,
        seed: int = 0,
        labels: Tensor | int | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Tensor]:
        """Yield what :meth:`generate` returns in parts, for more samples than fit in memory.

        Each part has ``batch_size`` samples, a multiple of 16; left out: 64 on the CPU, and on a
        GPU, after a first part of 16, as many as half of its free memory takes. The samples are
        the same whatever the size, but for the rounding of another one's kernels.
        """
        require_count(n, "n")
        device = next(self.generator.parameters()).device
        rows = batch_size or (_CPU_BATCH if device.type == "cpu" else _BLOCK)
        require(rows % _BLOCK == 0, "batch_size", expected=f"a multiple of {_BLOCK}", got=rows)
        noise = _noise_blocks(self.config.model.latent_dim, seed=seed)
        classes = self.labels(n, labels)
        start = 0
        while start < n:
            part = slice(start, min(start + rows, n))
            drawn = torch.cat(list(islice(noise, rows // _BLOCK)))[: part.stop - start].to(device)
            given = None if classes is None else classes[part].to(device)
            yield self.generator(drawn, given).cpu()
            start = part.stop
            if batch_size is None and device.type == "cuda":
                rows = _rows_that_fit(rows, device)

    def labels(self, n: int, labels: Tensor | int | None = None) -> Tensor | None:
        """The labels int64 ``(n,)`` of ``n`` samples; ``None`` for an unconditional run.

        Raises
        ------
        ValueError
            As :meth:`generate`.
        """
        count = self.config.model.num_classes
        if labels is None:
            return balanced_labels(n, self.config.model.learned_classes)
        require(count > 0, "labels", expected="none for an unconditional run", got="labels")
        given = torch.as_tensor(labels)
        integers = not given.is_floating_point() and not given.is_complex()
        require(
            integers and given.dtype != torch.bool and given.shape in ((), (n,)),
            "labels",
            expected=f"an integer, or an integer tensor of shape ({n},)",
            got=f"{given.dtype} of shape {tuple(given.shape)}",
        )
        require(
            bool(((given >= 0) & (given < count)).all()),
            "labels",
            expected=f"classes from 0 to {count - 1}",
            got=f"{int(given.min())} to {int(given.max())}",
        )
        for index in given.unique().tolist():
            self._require_learned(index, "labels")
        return given.long().cpu().expand(n)

    def class_index(self, label: str) -> int:
        """Return the index of the class with this name, or of this index if none has the name.

        Raises
        ------
        ValueError
            No such class (the near names are listed), one that had no samples in training, or an
            unconditional run.
        """
        names = self.config.model.class_names
        require(bool(names), "label", expected="none for an unconditional run", got=repr(label))
        if label not in names and label.isdecimal() and int(label) < len(names):
            index = int(label)
        else:
            require_one_of(label, "label", choices=names)
            index = names.index(label)
        self._require_learned(index, "label")
        return index

    def _require_learned(self, index: int, name: str) -> None:
        model = self.config.model
        got = f"{printable(model.class_names[index])}, of which the data had none"
        is_learned = index not in model.empty_classes
        require(is_learned, name, expected="a class that had samples in training", got=got)


def load(folder: str | Path, *, device: str = "cpu") -> Run:
    """Open a run folder. The training data is not needed.

    Raises
    ------
    ValueError
        The folder is no run, or its files do not fit each other.
    """
    folder = Path(folder)
    config, (outline, _) = _opened(folder)
    weights = _weights(outline, folder)
    generator, _ = build_networks(config)
    generator.load_state_dict(weights)
    return Run(folder, config, generator.eval().requires_grad_(False).to(device))


def load_critic(folder: str | Path) -> nn.Module:
    """Return the critic of a run's newest readable checkpoint, on the CPU in eval mode.

    Raises
    ------
    ValueError
        The folder is no run, or has no readable checkpoint.
    """
    folder = Path(folder)
    config, (_, outline) = _opened(folder)

    def check(saved: dict[str, Any]) -> None:
        require_fit(outline, saved["critic"])

    try:
        saved, problems = checkpoint.read_newest(folder / CHECKPOINTS, check=check)
    except MisfitError as error:
        raise ValueError(_misfit(folder, error)) from error
    _warn_of(problems)
    _, critic = build_networks(config)
    critic.load_state_dict(saved["critic"])
    return critic.eval().requires_grad_(False)


def require_own_settings(folder: Path) -> None:
    """Raise unless the settings of a run are those of its weights, where they can be read.

    Raises
    ------
    ValueError
        If ``config.yaml`` is not sngan's, or describes another network than the weights are of.
    """
    _, (outline, _) = _opened(folder)
    try:
        require_fit(outline, read_tensors(folder / GENERATOR))
    except MisfitError as error:
        raise ValueError(_misfit(folder, error, folder / GENERATOR)) from error
    except (DamagedFileError, OSError):
        # a run that has just begun has none
        return


def outlines(config: Config) -> tuple[models.Generator, models.Critic]:
    """Build both networks on the meta device: names and shapes, without memory for weights.

    Raises
    ------
    ValueError
        As :func:`build_networks`; or a width or dimension that no tensor can have.
    """
    model = config.model
    try:
        with torch.device("meta"):
            return build_networks(config)
    except (RuntimeError, OverflowError, TypeError) as error:
        got = f"model.width {model.width:g} and model.latent_dim {model.latent_dim}"
        raise ValueError(f"model: expected networks that fit into memory, got {got}") from error


def _opened(folder: Path) -> tuple[Config, tuple[models.Generator, models.Critic]]:
    """The settings of a run, and outlines of its networks."""
    path = folder / CONFIG
    require(path.is_file(), "run", expected=f"a run folder with {path.name}", got=folder)
    try:
        config = configs.load(path)
        return config, outlines(config)
    except ValueError as error:
        expected = f"a run folder with a {path.name} of sngan's"
        raise ValueError(f"run: expected {expected}, got {path} ({first_line(error)})") from error


def _misfit(folder: Path, error: MisfitError, path: Path | None = None) -> str:
    got = f"{error}" if path is None else f"{path}: {error}"
    return f"run: expected {folder / CONFIG} with the settings of the weights, got {got}"


def build_networks(config: Config) -> tuple[models.Generator, models.Critic]:
    """Build the generator and the critic of settings that are filled in.

    Their image weights are stored channels-last: convolutions run a quarter faster in this format
    on a CPU. All networks of a run come from here, because another format rounds differently and
    one seed must give one picture.

    Raises
    ------
    ValueError
        The settings lack the shape of a sample, or no such model can be built.
    """
    model = config.model
    shape = model.sample_shape
    require(shape is not None, "run", expected="a resolved config.yaml", got="no sample_shape")
    assert shape is not None
    networks = models.build(
        model.name,
        shape,
        latent_dim=model.latent_dim,
        width=model.width,
        num_classes=model.num_classes,
        attention=model.attention,
        critic_norm=config.method.critic_norm or "none",
    )
    for network in networks:
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return networks


def save_generator(generator: nn.Module, folder: Path) -> None:
    """Write ``generator.safetensors`` atomically, with a checksum."""
    write_tensors(generator.state_dict(), folder / GENERATOR)


def noise_from_seed(n: int, latent_dim: int, *, seed: int) -> Tensor:
    """Standard normal noise ``(n, latent_dim)``, drawn on the CPU so that devices agree."""
    blocks = islice(_noise_blocks(latent_dim, seed=seed), -(-n // _BLOCK))
    return torch.cat(list(blocks))[:n]


def _noise_blocks(latent_dim: int, *, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(_BLOCK, latent_dim, generator=generator)


def _rows_that_fit(rows: int, device: torch.device) -> int:
    """Rows of a batch in half the free memory, if they need as much each as those of the last."""
    allocated = torch.cuda.memory_allocated(device)
    needed = max(torch.cuda.max_memory_allocated(device) - allocated, 1)
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - allocated
    torch.cuda.reset_peak_memory_stats(device)
    fitting = rows * (free // 2) // needed // _BLOCK * _BLOCK
    return min(max(fitting, _BLOCK), _LARGEST_BATCH)


def balanced_labels(
    n: int, classes: Sequence[int], *, device: torch.device | str = "cpu"
) -> Tensor | None:
    """These classes in turn, int64 ``(n,)``; ``None`` where there are none."""
    if not classes:
        return None
    return torch.tensor(classes, device=device)[torch.arange(n, device=device) % len(classes)]


def _weights(outline: nn.Module, folder: Path) -> dict[str, Tensor]:
    """Read ``generator.safetensors``; where it is damaged, the same weights from a checkpoint."""
    path = folder / GENERATOR
    try:
        require(
            path.is_file(), "run", expected=f"a {GENERATOR} (train first)", got=f"none in {folder}"
        )
        weights = read_tensors(path)
        require_fit(outline, weights)
        return weights
    except MisfitError as error:
        damage = _misfit(folder, error, path)
    except DamagedFileError as error:
        damage = f"run: expected whole weights, got {path} ({first_line(error)})"
    except ValueError as error:
        damage = str(error)

    def check(saved: dict[str, Any]) -> None:
        require_fit(outline, _averaged(saved))

    try:
        saved, problems = checkpoint.read_newest(folder / CHECKPOINTS, check=check)
    except ValueError as error:
        raise ValueError(damage) from error
    _warn_of(
        [damage, *problems, f"its weights are taken from the checkpoint of step {saved['step']}"]
    )
    return _averaged(saved)


def _averaged(saved: dict[str, Any]) -> dict[str, Tensor]:
    prefix = "module."
    average = saved["average"].items()
    return {key.removeprefix(prefix): value for key, value in average if key.startswith(prefix)}


def _warn_of(problems: list[str]) -> None:
    for problem in problems:
        _log.warning("%s", problem)
