"""Everything that changes while a run trains: what a checkpoint holds."""

import logging
import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sngan import data, models, spectral
from sngan.augment import augment, names_in
from sngan.config import Config, DataConfig
from sngan.distributed import collectives, dtensor, fsdp
from sngan.engine.compiling import compile_forward
from sngan.engine.cuda_graph import StepGraph
from sngan.engine.fabric import make_fabric
from sngan.engine.precision import autocast_for
from sngan.runs.run import balanced_labels, build_networks, noise_from_seed
from sngan.utils.checks import require_count, require_number

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PICTURED_IMAGES, _PICTURED_POINTS = 64, 2000
_BATCH = 256
_log = logging.getLogger("sngan")


@dataclass
class State:
    """Both networks, the average, their optimizers, the constraint, the sampler, the step."""

    # Fabric's wrappers, with the plain networks in their `.module`
    generator: Any
    critic: Any
    average: AveragedModel
    generator_optimizer: Optimizer
    critic_optimizer: Optimizer
    spectral_norm: spectral.SpectralNorm | None
    sampler: data.Sampler
    dataset: data.Dataset
    latent_dim: int
    # of which samples are drawn
    classes: tuple[int, ...]
    augmentations: tuple[str, ...]
    device: torch.device
    backward: Callable[[Tensor], None]
    autocast: Callable[[], AbstractContextManager[Any]]
    without_sync: Callable[[Any], AbstractContextManager[None]]
    graph: StepGraph
    # of the data as it was when the run began or went on
    fingerprint: dict[str, int | str]
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def build(
        cls, config: Config, dataset: data.Dataset, fabric: "Fabric | None" = None
    ) -> "State":
        """Build both networks on the device, from the seed; ``fabric`` is launched already."""
        fabric = fabric or make_fabric(config.performance)
        torch.manual_seed(config.seed)
        random.seed(config.seed)
        # all batches have one shape, for which the quickest kernels are worth a search
        torch.backends.cudnn.benchmark = True
        shape, model, method = dataset.sample_shape, config.model, config.method
        generator, critic, average = _networks(config, fabric)
        graph = StepGraph(fabric.device, wanted=config.performance.cuda_graphs)
        captured_on = fabric.device if graph.is_wanted else None
        optimizers: list[Any] = [
            fabric.setup_optimizers(
                method.make_optimizer(network.parameters(), captured_on=captured_on)
            )
            for network in (generator, critic)
        ]
        generator_optimizer, critic_optimizer = optimizers
        spectral_norm = None
        if method.spectral_norm is not None:
            spectral_norm = spectral.SpectralNorm(
                critic.module,
                critic_optimizer,
                kind=method.spectral_norm,
                coefficient=method.coefficient,
                input_shape=shape if method.spectral_norm == "operator" else None,
            )
        sampler = data.Sampler(
            dataset if model.conditional else replace(dataset, labels=None),
            config.batch_size,
            device=fabric.device,
            seed=config.seed,
            flip=config.data.flip,
            dequantize=config.data.dequantize,
        )
        return cls(
            generator,
            critic,
            average,
            generator_optimizer,
            critic_optimizer,
            spectral_norm,
            sampler,
            dataset,
            model.latent_dim,
            model.learned_classes,
            names_in(config.data.augment),
            fabric.device,
            fabric.backward,
            autocast_for(config.performance.precision, fabric.device, is_images=dataset.is_images),
            fabric.no_backward_sync,
            graph,
            dataset.fingerprint(),
        )

    def noise(self, n: int) -> Tensor:
        """Standard normal noise ``(n, latent_dim)`` on the device, this rank's part."""
        return collectives.draw_local_rows(torch.randn, (n, self.latent_dim), device=self.device)

    def generate(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        """What the generator makes of noise, in the run's precision; float32 or better."""
        with self.autocast():
            return _at_least_float32(self.generator(noise, labels))

    def score(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """The critic's scores of samples, in the run's precision; float32 or better."""
        with self.autocast():
            return _at_least_float32(self.critic(samples, labels))

    def augment(self, samples: Tensor) -> Tensor:
        """What the critic shall see of real samples, and of generated ones."""
        return augment(samples, self.augmentations)

    def fixed_labels(self, n: int) -> Tensor | None:
        """All learned classes in turn, on the device; ``None`` for an unconditional generator."""
        return balanced_labels(n, self.classes, device=self.device)

    def set_learning_rate(self, lr: float) -> None:
        """Set the learning rate of both optimizers."""
        for optimizer in (self.generator_optimizer, self.critic_optimizer):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    # a captured step reads it where it is
                    group["lr"].fill_(lr)
                else:
                    group["lr"] = lr

    def update_average(self, start: int) -> None:
        """Move the average; up to step ``start`` it is the generator itself."""
        if self.step <= start:
            # torch's average copies the model while it has averaged nothing
            self.average.n_averaged.zero_()
        self.average.update_parameters(self.generator.module)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> Tensor:
        """Samples of the averaged generator, on the CPU; a seed fixes noise and labels.

        Where one rank does this alone, the others call :meth:`lend_average`.
        """
        noise = noise_from_seed(n, self.latent_dim, seed=seed).to(self.device)
        labels = self.fixed_labels(n)
        generator = fsdp.unsharded(self.average.module).eval()
        parts = torch.arange(n, device=self.device).split(_BATCH)
        return torch.cat(
            [generator(noise[p], None if labels is None else labels[p]).cpu() for p in parts]
        )

    def lend_average(self) -> None:
        """Take part in gathering the averaged generator, which another rank samples."""
        fsdp.unsharded(self.average.module)

    def pictured(self, *, seed: int) -> Tensor:
        """The samples that a picture shows."""
        return self.sample(
            _PICTURED_IMAGES if self.dataset.is_images else _PICTURED_POINTS, seed=seed
        )

    def reference(self) -> Tensor | None:
        """Real points to draw beside the samples; images need none."""
        return None if self.dataset.is_images else self.dataset.samples[:_PICTURED_POINTS]

    def sigmas(self) -> dict[str, Tensor]:
        """The spectral norm of each critic kernel (with normalization: of the raw weight)."""
        if self.spectral_norm is not None:
            return self.spectral_norm.sigmas()
        return spectral.spectral_norms(self.critic.module)

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on bit for bit."""
        parts = {key: getattr(self, key).state_dict() for key in self._parts()}
        return {
            **parts,
            "step": self.step,
            "seconds": self.seconds,
            "samples": self.dataset.total,
            "data": self.fingerprint,
            "rng": _rng_state(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; the data must be the same.

        Raises
        ------
        Exception
            Of any kind, if it is the state of something else; another one can be loaded then.
        """
        step, seconds = saved["step"], saved["seconds"]
        require_count(step, "step", minimum=0)
        require_number(seconds, "seconds", minimum=0.0)
        for key in self._parts():
            part = getattr(self, key)
            fsdp.load_state(part, _adapted(part, saved[key]))
        _set_rng_state(saved["rng"])
        self.step, self.seconds = step, seconds

    def _parts(self) -> list[str]:
        parts = ["generator", "critic", "average", "generator_optimizer", "critic_optimizer"]
        return [*parts, "sampler", *(["spectral_norm"] if self.spectral_norm else [])]


def _adapted(part: Any, saved: dict[str, Any]) -> dict[str, Any]:
    """The state of an optimizer, but the options of this one, which fit the device it is on."""
    if not isinstance(part, Optimizer):
        return saved
    own = [{**group, "params": ()} for group in part.param_groups]
    groups = zip(own, saved["param_groups"], strict=True)
    return {**saved, "param_groups": [{**mine, "params": one["params"]} for mine, one in groups]}


def _networks(config: Config, fabric: "Fabric") -> tuple[Any, Any, AveragedModel]:
    """Generator and critic in Fabric's wrappers, and the average, all on the device."""
    is_sharded = config.performance.is_sharded
    plain = build_networks(config)
    for network in plain:
        if fabric.world_size > 1:
            models.synchronize_batch_norms(network)
        if not is_sharded:
            network.to(fabric.device)
    average = AveragedModel(plain[0], multi_avg_fn=_moved_by(config.ema_decay), use_buffers=True)
    # sharding takes one stage after the other to the device, which may not hold them all
    generator, critic = (
        fabric.setup_module(network, move_to_device=not is_sharded) for network in plain
    )
    wanted = config.performance.compile
    if is_sharded:
        fsdp.shard(average.module, fsdp.mesh_of(generator.module))
        if config.method.penalty is not None or config.method.orthonormal:
            fsdp.keep_gathered(critic.module)
        if wanted == "on":
            _log.warning("performance.compile: not compiled, weights are gathered in between")
        wanted = "off"
    compile_forward(generator.module, critic.module, device=fabric.device, wanted=wanted)
    return generator, critic, average


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def open_dataset(settings: DataConfig, progress: Callable[[int, int], None]) -> data.Dataset:
    """Open the data that a run's settings name."""
    return data.open_source(
        settings.source,
        resolution=settings.resolution,
        channels=settings.channels,
        split=settings.split,
        labels=settings.labels,
        background=settings.background,
        reading=settings.reading,
        cache=settings.cache,
        workers=settings.workers,
        progress=progress,
    )


def _moved_by(decay: float) -> Callable[..., None]:
    """The update of a moving average, each rank's of its own parts."""
    update = get_ema_multi_avg_fn(decay)

    def update_parts(average: Iterable[Tensor], current: Iterable[Tensor], count: Tensor) -> None:
        update([*map(dtensor.local_tensor, average)], [*map(dtensor.local_tensor, current)], count)

    return update_parts


def _rng_state() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        # of this process's device: it is the same on all ranks
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "python": [version, list(internal), gauss],
    }


def _set_rng_state(saved: dict[str, Any]) -> None:
    torch.set_rng_state(saved["torch"].cpu())
    if saved["cuda"]:
        torch.cuda.set_rng_state(saved["cuda"][0].cpu())
    version, internal, gauss = saved["python"]
    random.setstate((version, tuple(internal), gauss))
