"""Model file: the weights of a generator as safetensors, with the settings in its metadata.

The one file is a model. Settings that only tell where a run was made are left out, and paths of
the machine are shortened to their last part, because people pass such files on.
"""

import hashlib
import re
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from sngan import config as configs
from sngan.config import Config
from sngan.runs.networks import OwnNetworks, networks_on_meta
from sngan.utils import consent
from sngan.utils.fitting import MisfitError, require_fit
from sngan.utils.plain import to_yaml
from sngan.utils.tensor_files import (
    DamagedFileError,
    read_metadata,
    read_tensors,
    write_tensors,
)
from sngan.utils.text import first_line

SUFFIX = ".safetensors"
"""The ending of a model file."""

_SETTINGS, _CHECKSUM = "sngan settings", "sngan settings sha256"
# /home/me/photos, ~/photos, ../photos, C:\photos, shards:/data/train-{000..099}.tar
_OWN_PATH = re.compile(
    r"(?P<kind>shards:)?(?:/|~|\.\.|[A-Za-z]:\\)(?:.*[/\\])?(?P<last>[^/\\]+)[/\\]?"
)


def write_model_file(generator: nn.Module, path: Path, config: Config) -> None:
    """Write weights and settings into one file, atomically; equal ones give equal bytes.

    Parameters
    ----------
    generator
        The generator.
    path
        The file.
    config
        The resolved settings of its run.
    """
    text = to_yaml(settings_to_share(config))
    metadata = {_SETTINGS: text, _CHECKSUM: _checksum(text)}
    write_tensors(generator.state_dict(), path, metadata=metadata)


def read_model_file(
    path: Path, *, allow_code: bool = False, own: OwnNetworks | None = None
) -> tuple[Config, dict[str, Tensor]]:
    """Read the settings and the weights of a file of :func:`write_model_file`.

    Parameters
    ----------
    path
        The file.
    allow_code
        Import the code that the settings name, if they name some.
    own
        Networks of the run that were given as objects.

    Raises
    ------
    ValueError
        If the file is damaged, has no settings of sngan's, names code that nobody has allowed, or
        has weights that do not fit its settings.
    """
    try:
        metadata, weights = read_metadata(path), read_tensors(path)
    except DamagedFileError as error:
        raise _refused("a whole safetensors file", path, first_line(error)) from error
    text = metadata.get(_SETTINGS)
    if text is None:
        expected = "a generator with its settings in the file; files of earlier versions need"
        raise _refused(f"{expected} their run folder", path, "no settings in it")
    if metadata.get(_CHECKSUM) != _checksum(text):
        raise _refused("whole settings", path, "their checksum is wrong")
    try:
        config = configs.loads(text, where=path)
        consent.note_from_file(configs.code_names(config), allowed=allow_code)
        own = own or OwnNetworks()
        own.require("generator", config)
        require_fit(networks_on_meta(config, own)[0], weights)
    except consent.NoConsentError:
        raise
    except MisfitError as error:
        raise _refused("weights that fit the settings", path, str(error)) from error
    except ValueError as error:
        raise _refused("settings of sngan's", path, first_line(error)) from error
    return config, weights


def settings_to_share(config: Config) -> dict[str, Any]:
    """Return the settings as in ``config.yaml``, without what tells about the machine."""
    values = configs.to_dict(config)
    return {
        key: "" if key == "out" else _without_own_paths(value)
        for key, value in values.items()
        if key != "performance"
    }


def _without_own_paths(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return {key: _without_own_paths(item) for key, item in items}
    return without_folders(value) if isinstance(value, str) else value


def without_folders(text: str) -> str:
    """Return a text, of a path on a person's machine only the last part.

    >>> [without_folders(text) for text in ("/home/me/photos/", "shards:~/a/b-{0..9}.tar", "ring8")]
    ['photos', 'shards:b-{0..9}.tar', 'ring8']
    """
    found = _OWN_PATH.fullmatch(text)
    return text if found is None else f"{found['kind'] or ''}{found['last']}"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refused(expected: str, path: Path, reason: str) -> ValueError:
    return ValueError(f"run: expected {expected}, got {path} ({reason})")
