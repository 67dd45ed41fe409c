"""YAML of settings: reading and writing."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_type_hints

from sngan.config.data import DataConfig
from sngan.config.evaluation import EvaluationConfig
from sngan.config.model import ModelConfig
from sngan.config.performance import PerformanceConfig
from sngan.config.schema import Config
from sngan.methods import Schedule, named
from sngan.utils.checks import require, require_one_of
from sngan.utils.families import FamilyDefault
from sngan.utils.files import write_bytes
from sngan.utils.plain import parse_texts, parse_yaml, read_text, to_yaml
from sngan.utils.text import first_line

# A setting that is off is None. In a file null stands for the default, or for the value of the
# recipe, so files have these words for "off". All versions can read them.
_OFF: dict[str, Any] = {
    "method.spectral_norm": "none",
    "method.spectral_norm_generator": "none",
    "method.critic_norm": "none",
    "method.clip": 0.0,
    "method.penalty": "none",
    "method.orthonormal": 0.0,
    "method.lr_critic": "none",
    "data.augment": "",
    "data.held_out": 0,
    "model.attention": 0,
    "model.minibatch_std": 0,
    "evaluation.every": 0,
    "keep_every": 0,
    "ema_halflife": "none",
}

_TYPES: dict[str, Any] = {
    "data": DataConfig,
    "model": ModelConfig,
    "evaluation": EvaluationConfig,
    "performance": PerformanceConfig,
}


def to_dict(config: Config) -> dict[str, Any]:
    """Return the settings as nested plain values, with lists for tuples, as in the YAML file.

    Defaults that depend on a model family that is not known yet have their values for images.

    Examples
    --------
    >>> from sngan.config import Config, to_dict
    >>> settings = to_dict(Config(data="ring8", clip=None))
    >>> settings["data"]["source"], settings["method"]["clip"]
    ('ring8', 0.0)
    """
    values = cast(dict[str, Any], plain(config.for_images))
    for key, word in _OFF.items():
        group, _, name = key.rpartition(".")
        owner = values[group] if group else values
        owner[name] = word if owner[name] is None else owner[name]
    return values


def plain(value: Any) -> Any:
    """Return settings as plain values: dictionaries, lists, and a schedule as its text.

    Examples
    --------
    >>> from sngan.config import plain
    >>> plain({"lr": Schedule(0.5, 0.25), "betas": (0.0, 0.9)})
    {'lr': '0.5->0.25', 'betas': [0.0, 0.9]}
    """
    if isinstance(value, Schedule):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in cast(Mapping[str, Any], value).items()}
    return (
        [plain(item) for item in cast(list[Any], value)]
        if isinstance(value, list | tuple)
        else value
    )


def from_dict(values: Mapping[str, Any]) -> Config:
    """Build a ``Config`` from nested plain values; fields left out take their defaults.

    Raises
    ------
    ValueError
        If a key is unknown (the error lists the near ones), or a field refuses its value.

    Examples
    --------
    >>> from sngan.config import from_dict
    >>> from_dict({"data": {"source": "ring8"}, "steps": 10}).data.source
    'ring8'
    """
    _require_known(values, Config, prefix="")
    arguments = dict(values)
    for key, kind in _TYPES.items():
        if isinstance(values.get(key), Mapping):
            _require_known(values[key], kind, prefix=f"{key}.")
            arguments[key] = kind(**_given(values[key], kind))
    if isinstance(values.get("method"), Mapping):
        arguments["method"] = named(**{"name": "sn", **values["method"]})
    return Config(**_given(arguments, Config))


def save(config: Config, path: Path) -> None:
    """Write the settings as YAML, atomically.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sngan.config import Config, load, save
    >>> with TemporaryDirectory() as folder:
    ...     save(Config(data="ring8", steps=10), Path(folder) / "config.yaml")
    ...     load(Path(folder) / "config.yaml").steps
    10
    """
    write_bytes(path, to_yaml(to_dict(config)).encode())


def load(path: Path) -> Config:
    """Read settings written by :func:`save`.

    Raises
    ------
    ValueError
        If the file is missing or no YAML mapping, a key is unknown, or a value is refused.

    Examples
    --------
    See :func:`save`. A file that is missing is named in the error:

    >>> from sngan.config import load
    >>> load(Path("no-run/config.yaml"))
    Traceback (most recent call last):
        ...
    ValueError: run: expected a run folder with config.yaml, got no-run
    """
    require(path.is_file(), "run", expected=f"a run folder with {path.name}", got=path.parent)
    return _of_a_run(read(path), where=path)


def loads(text: str, *, where: object) -> Config:
    """Build a ``Config`` from the YAML of a run; ``where`` names its place in errors.

    Raises
    ------
    ValueError
        If the text is no YAML mapping, a key is unknown, or a value is refused.

    Examples
    --------
    >>> from sngan.config import loads
    >>> loads("data: {source: ring8}", where="the example").data.source
    'ring8'
    """
    return _of_a_run(_parsed(text, where=where), where=where)


def _of_a_run(values: dict[str, Any], *, where: object) -> Config:
    if isinstance(values.get("data"), dict):
        # the first versions of sngan did not write which version of file reading they used
        values["data"].setdefault("reading", 1)
        # earlier versions trained on all images
        values["data"].setdefault("held_out", 0)
    try:
        # earlier versions evaluated on request, and compared the pixels of images without labels
        evaluation = values.setdefault("evaluation", {"every": 0})
        if isinstance(evaluation, dict):
            cast(dict[str, Any], evaluation).setdefault("features", 1)
        return from_dict(values)
    except TypeError as error:
        # a value has a type that no field takes
        raise ValueError(
            f"config: expected settings in {where}, got {first_line(error)}"
        ) from error


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings as nested plain values.

    Raises
    ------
    ValueError
        If it is no YAML mapping, or exceeds the limits of :func:`sngan.utils.plain.read_yaml`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sngan.config import read
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "config.yaml"
    ...     _ = path.write_text("data: {source: 007}")
    ...     read(path)
    {'data': {'source': '007'}}
    """
    try:
        text = read_text(path)
    except (ValueError, OSError) as error:
        expected = f"settings in {path}"
        raise ValueError(f"config: expected {expected}, got {first_line(error)}") from error
    return _parsed(text, where=path)


def _parsed(text: str, *, where: object) -> dict[str, Any]:
    values: Any
    try:
        values = parse_yaml(text)
    except ValueError as error:
        values = first_line(error)
    require(isinstance(values, Mapping), "config", expected=f"settings in {where}", got=values)
    return _with_texts(Config, values, parse_texts(text))


def _with_texts(kind: Any, values: dict[str, Any], texts: dict[str, Any]) -> dict[str, Any]:
    """Restore the text of names: YAML reads the folders ``1e3`` and ``007`` as numbers."""
    hints, kept = get_type_hints(kind), dict(values)
    for key, value in values.items():
        hint, text = hints.get(key), texts.get(key)
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            kept[key] = _with_texts(hint, cast(dict[str, Any], value), cast(dict[str, Any], text))
        elif (hint in (str, str | None) and isinstance(text, str) and value is not None) or (
            hint == tuple[str, ...] and isinstance(text, list)
        ):
            kept[key] = text
    return kept


def _given(values: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """Leave out null where it stands for a default that depends on the model family."""
    defaults = {one.name: one.default for one in dataclasses.fields(kind)}
    return {
        key: value
        for key, value in values.items()
        if value is not None or not isinstance(defaults[key], FamilyDefault)
    }


def _require_known(values: Mapping[str, Any], kind: Any, *, prefix: str) -> None:
    known = [f"{prefix}{f.name}" for f in dataclasses.fields(kind)]
    for key in values:
        require_one_of(f"{prefix}{key}", "config", choices=known)
