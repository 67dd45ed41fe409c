"""Drawing: which samples of a run are drawn, and how a picture shows them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from sngan.runs.run import Run
from sngan.utils.checks import require, require_count
from sngan.utils.text import printable

_SAMPLES = 64
_MOST_PIXELS = 2**28


@dataclass(frozen=True)
class Drawing:
    """The samples that are drawn, and how a picture shows them.

    Parameters
    ----------
    n
        The number of samples; left out: one for each of ``seeds``, or 64.
    seed
        The seed of the noise; left out: 0.
    seeds
        Instead of ``n`` and ``seed``: a seed for each sample.
    labels
        Labels as for :meth:`Run.generate`, and for ``seeds`` as for :meth:`Run.of_seeds`.
    truncation
        ψ of :func:`sngan.runs.noise.truncated`.
    columns, scale
        The columns of a grid, and the side of the square that each pixel becomes.
    captions
        Write the seed and the class below each image of a grid.
    """

    n: int | None = None
    seed: int | None = None
    seeds: Sequence[int] | None = None
    labels: Tensor | int | None = None
    truncation: float | None = None
    columns: int | None = None
    scale: int | None = None
    captions: bool = False

    def __post_init__(self) -> None:
        for name, value in (("n", self.n), ("seed", self.seed)):
            alone = self.seeds is None or value is None
            require(alone, name, expected="none beside seeds", got=value)
        require_count(self.count, "n")
        require_count(self.first_seed, "seed", minimum=0)
        for name, value in (("columns", self.columns), ("scale", self.scale)):
            if value is not None:
                require_count(value, name)

    @property
    def first_seed(self) -> int:
        """The seed of the noise of all samples."""
        return 0 if self.seed is None else self.seed

    @property
    def count(self) -> int:
        """The number of samples."""
        if self.seeds is not None:
            return len(self.seeds)
        return _SAMPLES if self.n is None else self.n


def drawn_labels(run: Run, drawing: Drawing) -> Tensor | None:
    """Return the labels of the samples; ``None`` for an unconditional run."""
    if drawing.seeds is None:
        return run.labels(drawing.count, drawing.labels)
    return run.labels_of_seeds(drawing.seeds, drawing.labels)


def drawn_samples(run: Run, drawing: Drawing, labels: Tensor | None) -> Iterator[Tensor]:
    """Yield the samples in parts, with the labels of :func:`drawn_labels`.

    Parameters
    ----------
    run
        The run.
    drawing
        The samples that are drawn.
    labels
        Their labels.
    """
    truncation = drawing.truncation
    if drawing.seeds is not None:
        return run.of_seeds(drawing.seeds, labels=labels, truncation=truncation)
    return run.batches(drawing.count, seed=drawing.first_seed, labels=labels, truncation=truncation)


def captions_of(run: Run, drawing: Drawing, labels: Tensor | None) -> list[str]:
    """Return the caption of each sample: its seed, and its class on a second line.

    Parameters
    ----------
    run
        The run.
    drawing
        The samples that are drawn.
    labels
        Their labels.
    """
    seeds = drawing.seeds or [f"{drawing.first_seed} #{number}" for number in range(drawing.count)]
    classes = run.config.model.class_names
    below = (
        [""] * drawing.count if labels is None else [f"\n{printable(classes[i])}" for i in labels]
    )
    return [f"seed {seed}{name}" for seed, name in zip(seeds, below, strict=True)]


def file_names(run: Run, drawing: Drawing) -> list[str]:
    """Return the names of the files in a folder of samples."""
    if is_of_points(run):
        return ["points.csv"]
    numbers = range(drawing.count) if drawing.seeds is None else drawing.seeds
    twice = next((one for one, times in Counter(numbers).items() if times > 1), None)
    expected = "each seed once for a folder, whose files have the names of the seeds"
    require(twice is None, "seeds", expected=expected, got=f"{twice} twice")
    return [f"{number:05d}.png" for number in numbers]


def check_look(run: Run, drawing: Drawing, kind: str) -> None:
    """Raise ``ValueError`` if an output of this kind cannot show what is asked for.

    Parameters
    ----------
    run
        The run.
    drawing
        The samples that are drawn.
    kind
        The ending of the file; empty for a folder.
    """
    has_images = kind != ".npz" and not is_of_points(run)
    is_grid = has_images and bool(kind)
    for name, value, fits, expected in (
        ("columns", drawing.columns, is_grid, "none unless --out is a grid of images"),
        ("captions", drawing.captions or None, is_grid, "none unless --out is a grid of images"),
        ("scale", drawing.scale, has_images, "none unless --out has images"),
    ):
        require(value is None or fits, name, expected=expected, got=value)
    if has_images:
        side = max(run.config.model.sample_shape or (1,)) * (drawing.scale or 1)
        asked = ("n", drawing.count) if drawing.scale is None else ("scale", drawing.scale)
        expected = f"a picture of at most {_MOST_PIXELS:,} pixels"
        fits = (side**2) * (drawing.count if is_grid else 1) <= _MOST_PIXELS
        require(fits, asked[0], expected=expected, got=asked[1])


def is_of_points(run: Run) -> bool:
    """Whether the samples of a run are points, and not images."""
    return len(run.config.model.sample_shape or ()) == 1
