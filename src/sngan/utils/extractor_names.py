"""Names of feature extractors: those that sngan has, files of networks, and objects of a module."""

from collections.abc import Callable
from typing import Any

from sngan.utils.checks import require_one_of
from sngan.utils.importing import is_object_name
from sngan.utils.registry import Registry, fitted

EXTRACTORS = ("auto", "points", "pixels", "domain", "inception", "dinov2", "clip")
"""The extractors that sngan has, and ``auto``.

Examples
--------
>>> from sngan.metrics import EXTRACTORS
>>> "domain" in EXTRACTORS, "inception" in EXTRACTORS
(True, True)
"""

PLUG_INS: Registry[Callable[[Any], Any]] = Registry(
    "extractors",
    {},
    argument="extractor",
    convert=lambda part, name: fitted(part, 1, f"extractor {name}"),
)
"""Functions of plug-ins, from images ``(n, C, H, W)`` in [−1, 1] to features ``(n, d)``."""

FILE_ENDINGS = (".pt", ".ts", ".pt2", ".onnx")
"""The endings of files with a network: TorchScript twice, ``torch.export``, ONNX."""

FORMS = f"{', '.join(EXTRACTORS)}, a file {'|'.join(FILE_ENDINGS)}, or package.module:name"
"""The accepted texts, for help."""


def names_code(extractor: str) -> bool:
    """Say whether opening this extractor runs code from a file or a module.

    A run folder may come from a stranger, so such a name counts only if the user has given it.

    >>> [names_code(name) for name in ("inception", "features.pt2", "own.features:embed")]
    [False, True, True]
    """
    return extractor.lower().endswith(FILE_ENDINGS) or is_object_name(extractor)


def require_extractor(extractor: str, name: str) -> None:
    """Raise unless a text names an extractor; whether its file exists is not looked at.

    Parameters
    ----------
    extractor
        The text.
    name
        The name of the setting, for the error.

    Raises
    ------
    ValueError
        If the text has none of the accepted forms; the error suggests near names.
    """
    if not (isinstance(extractor, str) and names_code(extractor)):
        require_one_of(extractor, name, choices=[*EXTRACTORS, *PLUG_INS.names()])
