"""Short runs, and folders that hold files of other people."""

from collections.abc import Iterable
from pathlib import Path

import sngan

SMALL = [
    "--data", "ring8", "--set", "width=0.05", "latent_dim=2", "batch_size=8", "n_critic=1",
    "log_every=1", "sample_every=2", "save_every=2", "device=cpu",
]  # fmt: skip


def tiny(out: Path, *, steps: int = 2, **changes: object) -> sngan.Config:
    """Return the settings of a run of two steps on points."""
    from sngan.config import DataConfig, ModelConfig, PerformanceConfig
    from sngan.methods import named

    return sngan.Config(**{
        "data": DataConfig(source="ring8"),
        "model": ModelConfig(width=0.05, latent_dim=2),
        "method": named("sn", n_critic=1),
        "performance": PerformanceConfig(device="cpu"),
        "out": str(out), "steps": steps, "batch_size": 8, "log_every": 1, "sample_every": 2,
        "save_every": 2, **changes,
    })  # fmt: skip


def contents(folder: Path, *, without: Iterable[str] = ()) -> dict[str, bytes]:
    """Read every file below a folder; a link counts by its target."""
    return {
        name: str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
        if not (name := path.relative_to(folder).as_posix()).startswith(tuple(without))
    }


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Write files, and make their folders."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def kept(folder: Path, files: dict[str, bytes]) -> bool:
    """Whether all of these files are unchanged."""
    return all(
        (folder / name).is_file() and (folder / name).read_bytes() == content
        for name, content in files.items()
    )


def without_a_list(folder: Path) -> Path:
    """Remove the lists of written files, as in runs and comparisons of earlier versions."""
    for hidden in [folder / ".sngan", *folder.glob("runs/*/.sngan")]:
        for path in sorted(hidden.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        hidden.rmdir()
    return folder
