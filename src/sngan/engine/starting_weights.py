"""Starting weights: those that a run takes from another run, or from a generator's file."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from sngan.config import Config
from sngan.models import Critic
from sngan.runs import checkpoint
from sngan.runs.chosen import LAST
from sngan.runs.hub import local_run
from sngan.runs.layout import RunFolder
from sngan.runs.networks import OwnNetworks, networks_on_meta
from sngan.runs.weights import read_config, read_generator, read_settings
from sngan.utils.checks import require
from sngan.utils.files import expand_home
from sngan.utils.tensor_files import DamagedFileError, read_tensors
from sngan.utils.text import first_line, printable
from sngan.utils.transfer import Transfer, find_transfer

_MOST_NAMES = 12
_log = logging.getLogger("sngan")


class StartingWeights(NamedTuple):
    """The tensors of a network, and the factors that make normalized weights raw again.

    Both are under the names in the network. It is empty if the file or the run lacks the network.
    """

    tensors: dict[str, Tensor]
    scales: dict[str, Tensor]

    def raw(self) -> dict[str, Tensor]:
        """Return the tensors with raw weights in place of those of norm 1."""
        return {name: one * self.scales.get(name, 1.0) for name, one in self.tensors.items()}


def read_starting_weights(source: str) -> tuple[StartingWeights, StartingWeights]:
    """Read the averaged generator and the critic of a run, or the generator in a file.

    A run of the hub has no critic.

    Raises
    ------
    ValueError
        If there is no run and no file of a generator at this path, or the hub does not give one.
    """
    path = local_run(expand_home(source), argument="init")
    expected = "a run folder, hf:USER/NAME or a generator.safetensors (a formula is --model.init)"
    nothing = StartingWeights({}, {})
    if not path.is_dir():
        try:
            return StartingWeights(read_tensors(path), {}), nothing
        except (DamagedFileError, OSError) as error:
            got = f"{printable(source)} ({first_line(error)})"
            raise ValueError(f"init: expected {expected}, got {got}") from error
    run = RunFolder(path)
    require(run.config.is_file(), "init", expected=expected, got=f"{printable(source)}, no run")
    generator = _generator_of(path)
    if not run.has_checkpoint():
        return StartingWeights(generator, {}), nothing
    saved, _ = checkpoint.read_newest(run.checkpoints)
    return (
        StartingWeights(generator, _scales(saved, "spectral_norm_generator")),
        StartingWeights(saved["critic"], _scales(saved, "spectral_norm")),
    )


def _generator_of(folder: Path) -> dict[str, Tensor]:
    """Read the averaged generator of a run; that of code of one's own is read without the code."""
    if read_config(folder).model.is_own:
        return read_starting_weights(str(RunFolder(folder).generator))[0].tensors
    _, (on_meta, _) = read_settings(folder)
    return read_generator(on_meta, folder, LAST)


def require_starting_weights(config: Config, own: OwnNetworks | None = None) -> None:
    """Raise unless the settings ``init`` and ``freeze_critic`` fit the networks.

    Parameters
    ----------
    config
        The resolved settings of a new run.
    own
        Networks given as objects.

    Raises
    ------
    ValueError
        If nothing fits, or more blocks are to be frozen than the critic has.
    """
    frozen, name = config.freeze_critic, "freeze_critic"
    if config.init is None:
        require(not frozen, name, expected="0 in a run without --init", got=frozen)
        return
    weights, networks = read_starting_weights(config.init), networks_on_meta(config, own)
    found = find_transfer(networks[0], weights[0].tensors, first=True)
    expected = "a generator with layers of the names and shapes of this run's"
    require(bool(found.taken), "init", expected=expected, got=f"{config.init}, which has none")
    most = len(_blocks(networks[1])) if weights[1].tensors else 0
    expected = f"at most {most}, the blocks of the critic (0 without a critic in --init)"
    require(frozen <= most, name, expected=expected, got=frozen)


def start_from(config: Config, generator: nn.Module, critic: nn.Module) -> None:
    """Load the layers of ``config.init`` that fit, and log which these are.

    A network with spectral normalization gets raw weights, and learns at the rate at which it
    learned before.

    Parameters
    ----------
    config
        The resolved settings.
    generator, critic
        The networks of the run, as they are initialized.
    """
    if config.init is None:
        return
    norms = (config.method.spectral_norm_generator, config.method.spectral_norm)
    words = ("generator", "critic")
    weights = read_starting_weights(config.init)
    for word, network, saved, norm in zip(words, (generator, critic), weights, norms, strict=True):
        tensors = saved.tensors if norm is None else saved.raw()
        found = find_transfer(network, tensors, first=word == "generator")
        network.load_state_dict(found.tensors, strict=False)
        _log.warning("init: %s: %s", word, _described(found))


def freeze_first_blocks(critic: nn.Module, count: int) -> None:
    """Let the first blocks of a critic keep their weights: FreezeD (Mo et al. 2020)."""
    for block in _blocks(critic)[:count]:
        for layer in block:
            layer.requires_grad_(False)


def _blocks(critic: nn.Module) -> Sequence[Sequence[nn.Module]]:
    """Return the blocks of a critic; one of another author has none."""
    return critic.blocks if isinstance(critic, Critic) else ()


def _scales(saved: dict[str, Any], key: str) -> dict[str, Tensor]:
    """Return the factors of the weights that a checkpoint has normalized."""
    layers: dict[str, Any] = (saved.get(key) or {}).get("layers", {})
    return {f"{name}.weight": state["scale"] for name, state in layers.items()}


def _described(found: Transfer) -> str:
    total = len(found.taken) + len(found.left)
    said = f"{len(found.taken)} of {total} layers taken ({found.share:.0%} of the numbers)"
    lists = (("taken", found.taken), ("not taken", found.left))
    return "; ".join([said, *(f"{words}: {_joined(names)}" for words, names in lists if names)])


def _joined(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
