"""Cases of the zoo: a function that makes files, and the right answer of one of two kinds."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Read:
    """The source is read as this; the log matches ``warning``, or is empty for ``None``."""

    total: int
    classes: tuple[str, ...] = ()
    labels: list[int] | None = None
    shape: tuple[int, ...] | None = None
    # the mean of each image, or all pixels of each
    means: list[float] | None = None
    tolerance: float = 1.0
    skipped: int = 0
    warning: str | None = None


@dataclass(frozen=True)
class Refused:
    """The source is refused in one line that matches ``because``."""

    because: str


@dataclass(frozen=True)
class Case:
    """A name, a function that makes files and returns the SOURCE, and the right answer."""

    name: str
    make: Callable[[Path], str]
    answer: Read | Refused
    options: dict[str, Any] = field(default_factory=dict)


def case(answer: Read | Refused, **options: Any) -> Callable:
    """Mark a function ``(folder) -> source`` as a case; several marks make several cases."""

    def mark(make: Callable[[Path], str | None]) -> Callable:
        cases = [*getattr(make, "cases", []), (answer, options)]
        make.cases = cases  # type: ignore[attr-defined]
        return make

    return mark


def cases_of(module: ModuleType) -> list[Case]:
    """Return the cases of a module; those of one function run from its last mark to its first."""
    found = []
    for name, make in vars(module).items():
        for number, (answer, options) in enumerate(getattr(make, "cases", [])):
            label = f"{module.__name__.rpartition('.')[2]}-{name}{f'-{number}' if number else ''}"
            found.append(Case(label, make, answer, options))
    return found


def image(level: float = 128, *, size=(8, 8), mode: str = "RGB") -> Image.Image:
    """Make an image of one grey level."""
    fill = {"RGB": (int(level),) * 3, "RGBA": (int(level),) * 3 + (255,)}.get(mode, int(level))
    return Image.new(mode, size, fill)


def coded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode an image to the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(level: float = 128, **options: Any) -> bytes:
    """Make a PNG in RGB of one grey level."""
    return coded(image(level, **options))


def put(root: Path, **files: Any) -> str:
    """Write files by path: bytes, text, or the grey level of an image; return the folder."""
    return put_all(root, files)


def put_all(root: Path, files: dict[str, Any]) -> str:
    """Write files like ``put``, for names that cannot be keywords."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            content.save(path)
        else:
            path.write_bytes(as_bytes(content))
    return str(root)


def as_bytes(content: Any) -> bytes:
    """Encode text as UTF-8, and a number as a PNG of this grey level; keep bytes."""
    if isinstance(content, bytes):
        return content
    return content.encode() if isinstance(content, str) else png(content)


def array_image(values: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """Encode an array as an image file with exactly its values."""
    return coded(Image.fromarray(values), kind, **options)
