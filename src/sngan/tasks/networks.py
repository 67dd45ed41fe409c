"""Networks that commands bound: a run's critic, a function of a package, or an exported file."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import nn

from sngan.lipschitz.exported import read_exported
from sngan.models.packing import packed_shape
from sngan.runs.chosen import LAST
from sngan.runs.critic import load_critic
from sngan.runs.hub import is_hub_name
from sngan.runs.run import load
from sngan.utils.checks import require, require_given
from sngan.utils.consent import allowed_object
from sngan.utils.files import expand_home
from sngan.utils.importing import is_object_name
from sngan.utils.text import class_and_line

EXPORTED = ".pt2"
MODEL_HELP = (
    "a run's folder (its critic), package.module:name (a network, or a function without arguments "
    "that returns one), or a FILE.pt2 of torch.export"
)


@dataclass(frozen=True)
class Network:
    """A network in eval mode, and the shape of one sample if its source says it."""

    module: nn.Module
    shape: tuple[int, ...] | None

    def sample_shape(self, given: str | None) -> tuple[int, ...]:
        """Return the shape of one sample: the one of ``--shape``, or that of the source.

        Raises
        ------
        ValueError
            If neither says it, they differ, or the text is no shape.
        """
        if given is None:
            return require_given(
                self.shape, "shape", expected="the shape of one sample, e.g. 3,32,32"
            )
        sizes = tuple(int(part) for part in given.split(",") if part.strip().isdecimal())
        is_shape = len(sizes) == len(given.split(",")) and all(sizes)
        require(is_shape, "shape", expected="positive sizes such as 3,32,32", got=repr(given))
        is_same = self.shape is None or self.shape == sizes
        require(is_same, "shape", expected=f"that of the model, {self.shape}", got=sizes)
        return sizes


def is_own_network(text: str) -> bool:
    """Whether a text names a network of the user and not a run."""
    return text.endswith(EXPORTED) or (is_object_name(text) and not Path(text).exists())


def open_network(text: str, *, checkpoint: str | int = LAST) -> Network:
    """Open a network from ``package.module:name``, a ``.pt2`` file or the folder of a run.

    Parameters
    ----------
    text
        The name, the file or the folder. A name is imported only with the consent of the user, see
        :mod:`sngan.utils.consent`.
    checkpoint
        The weights of a run, as for :func:`sngan.load`.

    Raises
    ------
    ValueError
        If there is no such network, nobody has allowed its name, or a checkpoint is given that is
        no run's.
    """
    if is_own_network(text):
        expected = "none for a network of your own (only for a run)"
        require(checkpoint == LAST, "checkpoint", expected=expected, got=checkpoint)
        if text.endswith(EXPORTED):
            return Network(*read_exported(Path(expand_home(text))))
        return Network(named_network(text, argument="network").eval(), None)
    folder = text if is_hub_name(text) else expand_home(text)
    # the critic comes first: a file of a generator has none, and the error says so
    critic = load_critic(folder, checkpoint=checkpoint)
    model = load(folder, checkpoint=checkpoint).config.model
    shape = require_given(model.sample_shape, "run", expected="the shape of its samples")
    return Network(critic, packed_shape(shape, model.pack))


def read_numbers(text: str, name: str, *, expected: str) -> list[float]:
    """Return the numbers in a text, where fractions such as ``36/255`` are allowed.

    Parameters
    ----------
    text
        Numbers with commas between them.
    name
        The name of the argument.
    expected
        The words for the expected text.

    Raises
    ------
    ValueError
        If a part is no number.
    """
    try:
        return [float(Fraction(part.strip())) for part in text.split(",")]
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{name}: expected {expected}, got {text!r}") from error


def read_range(text: str, name: str) -> tuple[float, float]:
    """Return the two ends of a range such as ``0,1``, the lower one first."""
    expected = "two numbers such as 0,1"
    ends = read_numbers(text, name, expected=expected)
    require(len(ends) == 2 and ends[0] < ends[1], name, expected=expected, got=repr(text))
    return ends[0], ends[1]


def named_network(text: str, *, argument: str) -> nn.Module:
    """Return the network of ``package.module:name``, or what the function of this name returns.

    Parameters
    ----------
    text
        The name, which is imported only with the consent of the user.
    argument
        The argument that has the name, for errors.

    Raises
    ------
    ValueError
        If the name cannot be imported, nobody has allowed it, or it gives no network.
    """
    found: Any = allowed_object(text, argument=argument)
    if not isinstance(found, nn.Module) and isinstance(found, Callable):
        try:
            found = found()
        except Exception as error:
            # the function belongs to the user and may raise any error
            got = class_and_line(error)
            raise ValueError(
                f"{argument}: expected {text} to return a network without arguments, got {got}"
            ) from error
    expected = "a torch.nn.Module or a function that returns one"
    kind = type(found).__name__
    require(isinstance(found, nn.Module), argument, expected=expected, got=f"{kind} from {text}")
    return found
