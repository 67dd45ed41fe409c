"""Run: a run folder opened again, with its settings, its generator, and samples from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from sngan.config import Config
from sngan.health import Diagnosis, diagnose
from sngan.runs.chosen import LAST
from sngan.runs.networks import NOISE_BLOCK, balanced_labels, build_networks, draw, noise_blocks
from sngan.runs.records import iter_records
from sngan.runs.weights import read_critic, read_generator, read_settings
from sngan.utils.checks import require, require_count, require_one_of
from sngan.utils.text import printable

_CPU_BATCH, _LARGEST_BATCH = 64, 1024


@dataclass(frozen=True)
class Run:
    """A run folder, its resolved settings and its averaged generator in eval mode.

    Attributes
    ----------
    folder
        The path of the run folder.
    config
        The settings, with everything that the data decided.
    generator
        The averaged generator ``(noise, labels) → samples``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sngan
    >>> with TemporaryDirectory() as folder:
    ...     config = sngan.Config(data="ring8", steps=1, batch_size=8, out=f"{folder}/run")
    ...     run = sngan.train(config)  # doctest: +ELLIPSIS
    step 1/1 ...
    >>> run.config.model.name, run.generate(3, seed=1).shape
    ('mlp', torch.Size([3, 2]))
    """

    folder: Path
    config: Config
    generator: nn.Module

    def generate(self, n: int, seed: int = 0, labels: Tensor | int | None = None) -> Tensor:
        """Draw ``n`` samples on the CPU; the same ``seed`` gives the same samples.

        Parameters
        ----------
        n
            The number of samples.
        seed
            The seed of the noise.
        labels
            Class indices for a conditional run: an integer tensor ``(n,)``, or one integer for all
            samples; left out: all classes that had samples in the data, in turn.

        Returns
        -------
        Tensor
            Images ``(n, channels, height, width)`` in [-1, 1], or points ``(n, dim)``.

        Raises
        ------
        ValueError
            If ``n`` is not a positive integer, or the labels have another shape, are out of range,
            belong to a class without samples in the data, or are given to an unconditional
            generator.
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
        """Yield the samples of :meth:`generate` in parts, for more samples than fit in memory.

        Parameters
        ----------
        n, seed, labels
            As for :meth:`generate`.
        batch_size
            The samples of a part, a multiple of 16; left out: 64 on the CPU. On a GPU the first
            part has 16 samples, and the next ones fill half of the free memory. Another size
            changes the samples only by rounding.
        """
        require_count(n, "n")
        device = next(self.generator.parameters()).device
        rows = batch_size or (_CPU_BATCH if device.type == "cpu" else NOISE_BLOCK)
        require(
            rows % NOISE_BLOCK == 0, "batch_size", expected=f"a multiple of {NOISE_BLOCK}", got=rows
        )
        noise = noise_blocks(self.config.model.latent_dim, seed=seed)
        classes = self.labels(n, labels)
        start = 0
        while start < n:
            part = slice(start, min(start + rows, n))
            drawn = torch.cat(list(islice(noise, rows // NOISE_BLOCK)))[: part.stop - start].to(
                device
            )
            given = None if classes is None else classes[part].to(device)
            yield draw(self.generator, drawn, given).cpu()
            start = part.stop
            if batch_size is None and device.type == "cuda":
                rows = _rows_that_fit(rows, device)

    def labels(self, n: int, labels: Tensor | int | None = None) -> Tensor | None:
        """Return the labels int64 ``(n,)`` of ``n`` samples; ``None`` for an unconditional run.

        Raises
        ------
        ValueError
            If :meth:`generate` refuses the labels.
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
        """Return the index of the class with this name. A number may stand for an index.

        Raises
        ------
        ValueError
            If there is no such class (the error lists the near names), the class had no samples in
            the data, or the run is unconditional.
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

    def diagnose(self) -> Diagnosis:
        """Judge the health of the run from its records, as ``sngan doctor`` does.

        Raises
        ------
        ValueError
            If the run has no records.
        """
        return diagnose_folder(self.folder, self.config)

    def _require_learned(self, index: int, name: str) -> None:
        model = self.config.model
        got = f"{printable(model.class_names[index])}, a class without samples"
        is_learned = index not in model.empty_classes
        require(is_learned, name, expected="a class that had samples in training", got=got)


def load(folder: str | Path, *, checkpoint: str | int = LAST, device: str = "cpu") -> Run:
    """Open a run folder. The training data is not needed.

    Parameters
    ----------
    folder
        The folder of the run.
    checkpoint
        The weights: ``"last"``; ``"best"``, those with the best metric of a run with evaluations;
        or the step of a checkpoint that is still there (``keep_every`` keeps some for good).
    device
        The device of the generator.

    Raises
    ------
    ValueError
        If the folder is no run, has no such checkpoint, or its files do not fit each other.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import sngan
    >>> with TemporaryDirectory() as folder:
    ...     config = sngan.Config(data="ring8", steps=1, batch_size=8, out=f"{folder}/run")
    ...     trained = sngan.train(config)  # doctest: +ELLIPSIS
    ...     run = sngan.load(trained.folder)
    step 1/1 ...
    >>> bool((run.generate(3) == trained.generate(3)).all())
    True
    """
    folder = Path(folder)
    config, (on_meta, _) = read_settings(folder)
    weights = read_generator(on_meta, folder, checkpoint)
    generator, _ = build_networks(config)
    generator.load_state_dict(weights)
    return Run(folder, config, generator.eval().requires_grad_(False).to(device))


def diagnose_folder(folder: Path, config: Config) -> Diagnosis:
    """Judge the health of a run from the records in its folder; its weights are not needed.

    Raises
    ------
    ValueError
        If the run has no records.
    """
    return diagnose(iter_records(folder), config)


def load_critic(folder: str | Path, *, checkpoint: str | int = LAST) -> nn.Module:
    """Return the critic of a checkpoint, by default the newest, on the CPU in eval mode.

    Raises
    ------
    ValueError
        If the folder is no run, or has no such readable checkpoint.
    """
    folder = Path(folder)
    config, (_, on_meta) = read_settings(folder)
    weights = read_critic(on_meta, folder, checkpoint)
    _, critic = build_networks(config)
    critic.load_state_dict(weights)
    return critic.eval().requires_grad_(False)


def _rows_that_fit(rows: int, device: torch.device) -> int:
    """Return how many rows fit in half of the free memory, given the need of the last batch."""
    allocated = torch.cuda.memory_allocated(device)
    needed = max(torch.cuda.max_memory_allocated(device) - allocated, 1)
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - allocated
    torch.cuda.reset_peak_memory_stats(device)
    fitting = rows * (free // 2) // needed // NOISE_BLOCK * NOISE_BLOCK
    return min(max(fitting, NOISE_BLOCK), _LARGEST_BATCH)
