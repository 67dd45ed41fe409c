"""Hugging Face hub: data sets that the optional package ``datasets`` downloads."""

from collections.abc import Iterator
from typing import Any

from sngan.data.types import Encoded, Item, ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import first_line

_BLOCK = 1024


def open_hub(reference: str, options: ReadOptions) -> Encoded:
    """Open ``NAME`` or ``NAME:SPLIT``; ``datasets`` downloads it once and caches it.

    Raises
    ------
    ValueError
        If the package is missing, the data set cannot be loaded, or it has no column of images.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "data: expected the package `datasets` for hf:…, got none; pip install 'sngan[hub]'"
        ) from error
    name, _, own_split = reference.partition(":")
    require(bool(name), "data", expected="hf:NAME[:SPLIT]", got=f"hf:{reference}")
    try:
        table: Any = datasets.load_dataset(name, split=own_split or options.split)
    except Exception as error:
        # the hub's client raises many kinds of exceptions: no network, no such name, no such split
        got = f"{name!r} ({first_line(error)})"
        raise ValueError(f"data: expected a data set of the hub, got {got}") from error
    columns = table.features
    image = _column(columns, datasets.Image)
    require(image is not None, "data", expected=f"images in {name}", got=list(columns))
    label = None if options.labels == "none" else _column(columns, datasets.ClassLabel)
    encoded = table.cast_column(image, datasets.Image(decode=False))

    def blocks() -> Iterator[list[Item]]:
        for start in range(0, len(encoded), _BLOCK):
            rows = encoded[start : start + _BLOCK]
            labels = rows[label] if label else [-1] * len(rows[image])
            yield [
                Item(f"row {start + offset}", _reader(value), target)
                for offset, (value, target) in enumerate(zip(rows[image], labels, strict=True))
            ]

    names = tuple(columns[label].names) if label else ()
    fingerprint = str(getattr(encoded, "_fingerprint", ""))
    return Encoded(f"hf:{reference}", len(encoded), blocks, names, fingerprint)


def _column(columns: Any, kind: type) -> str | None:
    return next((name for name, feature in columns.items() if isinstance(feature, kind)), None)


def _reader(value: dict[str, Any]) -> Any:
    def read() -> bytes:
        if value.get("bytes") is None:
            with open(value["path"], "rb") as file:  # noqa: PTH123
                return file.read()
        return value["bytes"]

    return read
