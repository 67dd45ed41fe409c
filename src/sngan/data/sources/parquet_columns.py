"""Columns of Parquet tables: find the columns of images and of labels."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from sngan.data.types import ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import printable

_IMAGES = ("image", "img", "images", "picture", "photo", "jpg", "jpeg", "png", "webp", "pixels")
LABELS = (
    *("label", "labels", "class", "class_id", "class_label", "target", "category", "cls"),
    *("fine_label", "coarse_label", "species", "digit", "y"),
)
"""Names of label columns, the likeliest first."""
_AUXILIARY = ("mask", "seg", "depth", "annot", "thumb", "trimap", "label", "gt")


class Columns(NamedTuple):
    """The names of the columns of images and of labels, and the names of the classes."""

    image: str
    label: str | None
    class_names: tuple[str, ...]


def choose_columns(schema: Any, options: ReadOptions, where: str) -> Columns:
    """Choose the columns by Hugging Face's metadata, by their names, and by their types.

    Parameters
    ----------
    schema
        The table's schema, of pyarrow.
    options
        The labels that were asked for.
    where
        The file, for errors.

    Raises
    ------
    ValueError
        If there is no column of images, or the label column that was asked for is missing.
    """
    features = _features(schema)
    image = _image(schema, features, where)
    label = _label(schema, features, options, where)
    return Columns(image, label, class_names(schema, label))


def class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """Return the class names of a label column from Hugging Face's metadata."""
    names = _features(schema).get(label, {}).get("names") if label else None
    if not isinstance(names, list):
        return ()
    return tuple(printable(str(name)) for name in cast(list[Any], names))


def _features(schema: Any) -> Mapping[str, Mapping[str, Any]]:
    """The features that Hugging Face writes into the metadata; empty without them."""
    try:
        found: Any = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {str(k): v for k, v in found.items() if isinstance(v, Mapping)}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _image(schema: Any, features: Mapping[str, Mapping[str, Any]], where: str) -> str:
    import pyarrow as pa

    structs = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    plain = [field.name for field in schema if _is_binary(field.type)]
    usable = [*structs, *plain]
    declared = [name for name in usable if features.get(name, {}).get("_type") == "Image"]
    named = [name for wanted in _IMAGES for name in usable if name.lower() == wanted]
    others = [name for name in usable if not any(word in name.lower() for word in _AUXILIARY)]
    in_order = [
        *(name for name in named if name in declared or not declared),
        *declared,
        *others,
        *usable,
    ]
    expected, got = f"a column of image bytes in {where}", ", ".join(map(printable, schema.names))
    require(bool(in_order), "data", expected=expected, got=got)
    return in_order[0]


def _label(
    schema: Any, features: Mapping[str, Mapping[str, Any]], options: ReadOptions, where: str
) -> str | None:
    import pyarrow as pa

    usable = [field.name for field in schema if _can_be_label(field.type, pa)]
    if options.labels == "none":
        return None
    if options.labels != "auto":
        expected = f"auto, none or a column of {where}: {', '.join(map(printable, usable))}"
        is_there = options.labels in usable
        require(is_there, "data.labels", expected=expected, got=repr(options.labels))
        return options.labels
    declared = [name for name in usable if features.get(name, {}).get("_type") == "ClassLabel"]
    named = [name for wanted in LABELS for name in usable if name.lower() == wanted]
    # label_id and animal_class are labels, and label_quality is not
    numbers = [n for n in usable if pa.types.is_integer(schema.field(n).type)]
    likely = [n for n in numbers if n.lower().endswith(("label", "class", "label_id", "label_idx"))]
    chosen = [*(name for name in named if name in declared or not declared), *declared, *likely]
    return chosen[0] if chosen else None


def _can_be_label(kind: Any, pa: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        *(pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string),
        pa.types.is_large_string,
    )
    return any(test(kind) for test in tests)


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)
