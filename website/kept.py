"""Digests of files and of sngan's code, by which a build finds its kept results again."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def digest(paths: Iterable[Path]) -> str:
    """Return the digest of the contents of files, in their order."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()


@functools.cache
def digest_of_package() -> str:
    """Return the digest of sngan's own code, which is read once for each build."""
    return digest(sorted((ROOT / "src").rglob("*.py")))
