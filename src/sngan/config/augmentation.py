"""Augmentation of a run: the meaning of the setting ``data.augment``."""

from typing import NamedTuple

from sngan.augment import AUGMENTATIONS
from sngan.methods.schedule import Scheduled, require_scheduled
from sngan.utils.checks import require, require_one_of

_ADAPTIVE, _PROBABILITY = "ada", "p="
_NAME = "data.augment"


class AugmentPolicy(NamedTuple):
    """The augmentation of images: named functions, the augmentation that does not leak, or none.

    Attributes
    ----------
    names
        Functions of :data:`sngan.augment.AUGMENTATIONS` that change every image, in this order.
    p
        The probability of each transformation of :func:`sngan.augment.nonleaking`, a number or a
        schedule; ``None`` if this augmentation is off, or if p adapts itself.
    is_adaptive
        Whether p follows the critic's overfitting.
    """

    names: tuple[str, ...] = ()
    p: Scheduled | None = None
    is_adaptive: bool = False


def parse_augment(text: str | None) -> AugmentPolicy:
    """Read ``ada``, ``p=NUMBER``, ``p=A->B``, or names that are joined by commas.

    Raises
    ------
    ValueError
        If it is no text, a name is unknown, ``ada`` or ``p`` is not alone, or p is not from 0 to 1.

    Examples
    --------
    >>> parse_augment("color, cutout").names, parse_augment("p=0.3").p
    (('color', 'cutout'), 0.3)
    """
    is_text = text is None or isinstance(text, str)
    require(is_text, _NAME, expected="text or None", got=repr(text))
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    for name in names:
        is_probability = name.startswith(_PROBABILITY)
        if name == _ADAPTIVE or is_probability:
            expected = f"{_ADAPTIVE} or {_PROBABILITY}NUMBER alone"
            require(len(names) == 1, _NAME, expected=expected, got=repr(text))
        if name == _ADAPTIVE:
            return AugmentPolicy(is_adaptive=True)
        if is_probability:
            given = name.removeprefix(_PROBABILITY)
            return AugmentPolicy(p=require_scheduled(given, _NAME, minimum=0.0, maximum=1.0))
        require_one_of(name, _NAME, choices=[*AUGMENTATIONS, _ADAPTIVE, f"{_PROBABILITY}NUMBER"])
    return AugmentPolicy(names)
