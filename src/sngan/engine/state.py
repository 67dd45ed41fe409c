"""Training state: everything that changes while a run trains, and that a checkpoint saves."""

import copy
import random
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from sngan import data, models, spectral
from sngan.config import Config
from sngan.config.intervals import steps_of
from sngan.data.types import Fingerprint
from sngan.distributed import fsdp
from sngan.engine import build
from sngan.engine.accumulation import warn_of_batch_statistics
from sngan.engine.augmentation import Augmentation
from sngan.engine.fabric import make_fabric
from sngan.engine.health.extremes import Extremes
from sngan.engine.resolve import resolve_config
from sngan.engine.runtime import Runtime
from sngan.engine.scheduling import ScheduledValues
from sngan.runs.networks import OwnNetworks
from sngan.utils.checks import require_count, require_number

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(kw_only=True)
class TrainState:
    """Everything that changes while a run trains. A checkpoint saves it without the runtime.

    Attributes
    ----------
    generator, critic
        The two networks in Fabric's wrappers; ``generator.module`` is the plain one.
    average
        The exponential moving average of the generator.
    generator_optimizer, critic_optimizer
        The optimizers of the two networks.
    spectral_norm, spectral_norm_generator
        The spectral normalizations of critic and generator, if the method has them.
    scheduled
        The values that schedules change, such as learning rates. The step alone decides them, so
        they are not saved.
    sampler
        The real batches: epoch, and position in it.
    augmentation
        The augmentation of images, with its adaptive probability.
    num_samples, fingerprint
        The size and the fingerprint of the data when the run began or was resumed.
    is_images
        Whether the samples are images, and not points. It is not saved.
    latent_dim, pack
        The dimension of the noise, and the samples that the critic scores as one.
    scores_apart
        Whether the critic has batch norm, so real and generated samples are scored in two passes.
    step, seconds
        The generator steps done, and the time that they took.
    logged_step
        The step of the last record.
    runtime
        The device, precision and CUDA graph of the steps. It is not saved.
    extremes
        The least and the largest gradient norms since the last record of the run's health.
    uncertified
        The critic and its spectral normalization before certification, once it is certified.

    Examples
    --------
    >>> from sngan import Config, data
    >>> state = TrainState.build(Config(data="ring8"), data.open_source("ring8"))
    >>> sorted(state.state_dict())[:4]
    ['average', 'critic', 'critic_optimizer', 'data']
    """

    generator: Any
    critic: Any
    average: AveragedModel
    generator_optimizer: Optimizer
    critic_optimizer: Optimizer
    spectral_norm: spectral.SpectralNorm | None
    spectral_norm_generator: spectral.SpectralNorm | None
    scheduled: ScheduledValues
    sampler: data.Sampler
    augmentation: Augmentation
    num_samples: int
    fingerprint: Fingerprint
    runtime: Runtime
    extremes: Extremes
    is_images: bool = True
    latent_dim: int = 128
    pack: int = 1
    scores_apart: bool = False
    step: int = 0
    seconds: float = 0.0
    logged_step: int = 0
    uncertified: dict[str, Any] | None = None

    @classmethod
    def build(
        cls,
        config: Config,
        dataset: data.Dataset,
        fabric: "Fabric | None" = None,
        *,
        own: OwnNetworks | None = None,
    ) -> "TrainState":
        """Build networks and optimizers on the device; the seed decides all random numbers.

        Parameters
        ----------
        config
            The settings. Those that are left to the data are filled in here.
        dataset
            The data, as :func:`sngan.data.open_source` returns it.
        fabric
            A launched Fabric; left out: one for the devices of ``config.performance``.
        own
            Networks given as objects, of which copies are trained.

        Raises
        ------
        ValueError
            If the model does not fit the data, or the machine lacks the devices.
        """
        config = resolve_config(config, dataset, own)
        fabric = fabric or make_fabric(config.performance)
        build.seed_random_numbers(config.seed)
        networks = build.build_networks(config, dataset, fabric, own)
        warn_of_batch_statistics(config, networks.generator, networks.critic)
        runtime = Runtime.build(config, fabric, is_images=dataset.is_images)
        optimizers = build.build_optimizers(
            config, networks, fabric, is_captured=runtime.graph.is_wanted
        )
        generator_norm, critic_norm = build.build_spectral_norms(config, networks, optimizers)
        return cls(
            generator=networks.generator,
            critic=networks.critic,
            average=networks.average,
            generator_optimizer=optimizers[0],
            critic_optimizer=optimizers[1],
            spectral_norm=critic_norm,
            spectral_norm_generator=generator_norm,
            scheduled=ScheduledValues.build(config, optimizers, networks.average),
            sampler=build.build_sampler(config, dataset, device=fabric.device),
            augmentation=Augmentation(config, device=fabric.device),
            num_samples=dataset.total,
            fingerprint=dataset.fingerprint(),
            runtime=runtime,
            is_images=dataset.is_images,
            latent_dim=config.model.latent_dim,
            pack=config.model.pack,
            scores_apart=models.has_batch_norm(networks.critic.module),
            extremes=Extremes(fabric.device),
        )

    def sigmas(self) -> dict[str, Tensor]:
        """Return the spectral norm of each critic kernel; with normalization, of its raw weight."""
        if self.spectral_norm is not None:
            return self.spectral_norm.sigmas()
        return spectral.spectral_norms(self.critic.module)

    def keep_uncertified(self) -> None:
        """Keep a copy of the critic, which is certified next; a longer run goes on from it."""
        parts = {key: getattr(self, key).state_dict() for key in ("critic", "spectral_norm")}
        self.uncertified = copy.deepcopy(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs to go on bit for bit."""
        parts = {key: getattr(self, key).state_dict() for key in self._parts()}
        return {
            **parts,
            "step": self.step,
            "seconds": self.seconds,
            "logged_step": self.logged_step,
            "samples": self.num_samples,
            "data": self.fingerprint,
            "rng": _rng_state(),
            "extremes": self.extremes.state_dict(),
            **({} if self.uncertified is None else {"uncertified": self.uncertified}),
        }

    def load_state_dict(self, saved: dict[str, Any], *, without: Collection[str] = ()) -> None:
        """Restore what :meth:`state_dict` returned. The data must be the same.

        Parameters
        ----------
        saved
            The state.
        without
            Parts that keep their present state, such as ``"sampler"`` if the data has changed.

        Raises
        ------
        Exception
            If ``saved`` does not fit: an error of any kind. Another state can be loaded afterwards.
        """
        # a certificate rescales the critic, and an unbroken run of more steps has none at this step
        saved = {**saved, **saved.get("uncertified", {})}
        step, seconds = saved["step"], saved["seconds"]
        require_count(step, "step", minimum=0)
        require_number(seconds, "seconds", minimum=0.0)
        for key in self._parts():
            if key in without:
                continue
            part = getattr(self, key)
            fsdp.load_state(part, _with_own_options(part, saved[key]))
        # earlier versions saved no extremes
        if "extremes" in saved:
            self.extremes.load_state_dict(saved["extremes"])
        _set_rng_state(saved["rng"])
        # optimizers replace their tensors when they load
        self.runtime.graph.forget()
        self.step, self.seconds = step, seconds
        # earlier versions did not save it; they counted steps
        every = steps_of(self.scheduled.config.log_every, default=1)
        self.logged_step = saved.get("logged_step", step - step % every)

    def _parts(self) -> tuple[str, ...]:
        norms = ("spectral_norm", "spectral_norm_generator")
        present = [name for name in norms if getattr(self, name) is not None]
        adaptive = ["augmentation"] if self.augmentation.is_adaptive else []
        return (*PARTS, *present, *adaptive)


PARTS = (
    "generator",
    "critic",
    "average",
    "generator_optimizer",
    "critic_optimizer",
    "sampler",
)
"""The parts of every state, each with a ``state_dict`` of its own."""


def _with_own_options(part: Any, saved: dict[str, Any]) -> dict[str, Any]:
    """Replace the saved options of an optimizer by those of this run, which fit its device."""
    if not isinstance(part, Optimizer):
        return saved
    own = [{**group, "params": ()} for group in part.param_groups]
    groups = zip(own, saved["param_groups"], strict=True)
    return {**saved, "param_groups": [{**mine, "params": one["params"]} for mine, one in groups]}


@contextmanager
def restored_random_numbers() -> Generator[None]:
    """Set the random numbers back afterwards, so that work inside does not change the run."""
    before = _rng_state()
    try:
        yield
    finally:
        _set_rng_state(before)


def _rng_state() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        # the state of one device is enough, because all ranks have equal states
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "python": [version, list(internal), gauss],
    }


def _set_rng_state(saved: dict[str, Any]) -> None:
    torch.set_rng_state(saved["torch"].cpu())
    if saved["cuda"]:
        torch.cuda.set_rng_state(saved["cuda"][0].cpu())
    version, internal, gauss = saved["python"]
    random.setstate((version, tuple(internal), gauss))
