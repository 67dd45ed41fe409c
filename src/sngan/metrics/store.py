"""Cache of tensors on disk, named by a hash of everything that determines them."""

import hashlib
import json
import logging
from collections.abc import Callable

from torch import Tensor

from sngan.utils.cache import folder as cache_folder
from sngan.utils.cache import mark_used, trim
from sngan.utils.tensor_files import DamagedFileError, read_tensors, write_tensors
from sngan.utils.text import first_line

Tensors = dict[str, Tensor]
_log = logging.getLogger("sngan")


def fingerprint(*parts: object) -> str:
    """Hash these parts to a name; the type, shape and content of a tensor count."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(f"{part.dtype} {tuple(part.shape)}\n".encode())
            digest.update(part.detach().cpu().flatten().contiguous().numpy().data)
        else:
            digest.update(json.dumps(part).encode())
        digest.update(b"\n")
    return digest.hexdigest()[:32]


def cached(name: str, compute: Callable[[], Tensors]) -> Tensors:
    """Load the tensors that an earlier call stored under this name, or compute and store them.

    A damaged file is computed again. If the folder cannot be written, nothing is stored.
    """
    path = cache_folder() / "metrics" / f"{name}.safetensors"
    try:
        if path.exists():
            tensors = read_tensors(path)
            mark_used(path)
            return tensors
    except (OSError, DamagedFileError) as error:
        _log.warning("the cache %s is damaged (%s): computing it again", path, first_line(error))
    tensors = compute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(tensors, path)
        trim(keep=path)
    except OSError as error:
        _log.warning("the cache %s cannot be written: %s", path, error)
    return tensors
