"""Presets: the size of networks, batches and run that fit a laptop, a GPU, or the paper."""

from dataclasses import dataclass, replace
from typing import Any

from sngan.config.schema import Config
from sngan.utils.families import FamilyDefault

# larger images than these take a laptop hours with the networks of the paper
_SMALL_SIDE = 16


@dataclass(frozen=True)
class Preset:
    """The width of the networks, the samples of a batch, and the generator steps."""

    width: float
    batch_size: int
    steps: int


PRESETS = {
    "laptop": Preset(width=0.25, batch_size=32, steps=10_000),
    "gpu": Preset(width=1.0, batch_size=64, steps=50_000),
    "paper": Preset(width=1.0, batch_size=64, steps=100_000),
}


def with_preset(config: Config, *, side: int | None, is_on_cpu: bool) -> Config:
    """Return settings with the values of their preset where the user gave none.

    With ``auto`` a run on a CPU has the preset ``laptop`` if its images are larger than 16 pixels,
    and neither width, batch size, steps nor hours are given. Other runs keep the defaults.

    Parameters
    ----------
    config
        The settings of a new run. ``preset`` becomes the name of the preset, or ``none``.
    side
        The longer side of the images; ``None`` for points.
    is_on_cpu
        Whether the run trains on a CPU.

    Examples
    --------
    >>> from sngan import Config
    >>> config = with_preset(Config(batch_size=8, preset="laptop"), side=64, is_on_cpu=False)
    >>> config.model.width, config.batch_size, config.steps
    (0.25, 8, 10000)
    """
    given = (config.model.width, config.batch_size, config.steps)
    is_open = config.hours is None and all(map(_is_left_out, given))
    is_large = side is not None and side > _SMALL_SIDE
    name = config.preset
    if name == "auto":
        name = "laptop" if is_open and is_large and is_on_cpu else "none"
    if name not in PRESETS:
        return replace(config, preset=name)
    preset = PRESETS[name]
    return replace(
        config,
        preset=name,
        model=replace(config.model, width=_chosen(config.model.width, preset.width)),
        batch_size=_chosen(config.batch_size, preset.batch_size),
        steps=_chosen(config.steps, preset.steps),
    )


def _is_left_out(value: object) -> bool:
    return isinstance(value, FamilyDefault)


def _chosen(given: Any, preset: Any) -> Any:
    return preset if _is_left_out(given) else given
