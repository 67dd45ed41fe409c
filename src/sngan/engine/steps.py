"""The training engine: the two steps of a GAN, and one loop around them."""

import logging
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from sngan import config as configs
from sngan import data, models
from sngan.config import Config
from sngan.distributed import collectives, dtensor, fsdp, rendezvous
from sngan.engine import evaluation as evidence
from sngan.engine import launching, resuming, size
from sngan.engine.state import State, open_dataset
from sngan.losses import LOSSES
from sngan.methods import Method
from sngan.penalties import PENALTIES, clip_weights_, orthonormal
from sngan.runs import checkpoint
from sngan.runs import sample_grid as pictures
from sngan.runs.layout import RunFolder
from sngan.runs.lock import locked
from sngan.runs.names import CHECKPOINTS, CONFIG, LOG, SAMPLES, SKIPPED
from sngan.runs.records import Recorder, iter_records
from sngan.runs.run import Run, load, save_generator
from sngan.utils.checks import require
from sngan.utils.files import write_bytes
from sngan.utils.progress import Progress, counting
from sngan.utils.signals import interrupt_at_once, stop_on_interrupt
from sngan.utils.streams import PrintableFormatter
from sngan.utils.text import class_and_line, printable

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_log = logging.getLogger("sngan")


class TrainingError(RuntimeError):
    """Training stopped on the way; the message is one line, with the log and last checkpoint."""


class Interrupted(KeyboardInterrupt):
    """Training was interrupted, and a checkpoint saved."""


def train(config: Config, *, resume: bool = False, overwrite: bool = False) -> Run:
    """Train a GAN and leave a run folder at ``config.out``.

    Each generator step follows ``n_critic`` critic steps (Goodfellow et al. 2014, arXiv:1406.2661;
    Arjovsky et al. 2017, arXiv:1701.07875). On the CPU a resumed run equals an uninterrupted one
    bit for bit. With ``config.performance.devices`` or ``nodes`` above 1 as many processes share
    each batch; the first one writes, and results are those of one process but for rounding. A
    script that calls this with several devices, or with a strategy, needs
    ``if __name__ == "__main__":``. What torchrun restarts goes on from the newest readable
    checkpoint by itself.

    Parameters
    ----------
    config
        The settings; what they leave to the data is filled in and saved as ``config.yaml``.
    resume
        Go on from the newest readable checkpoint in ``config.out``.
    overwrite
        Replace a run that is at ``config.out``: its own files, which are deleted after the first
        checkpoint of the new run. Other files stay.

    Raises
    ------
    ValueError
        A setting, the data or the folder does not fit; another process, or another thread of this
        one, trains already.
    TrainingError
        A loss or gradient was not finite, a process was killed, or something else broke.
    Interrupted
        Ctrl-C, SIGTERM or SIGHUP; a checkpoint was saved.
    """
    try:
        run = launching.on_ranks(config.performance, _train, config, resume, overwrite)
    except launching.RankError as error:
        raise TrainingError(f"{error}; {_whereabouts(Path(config.out))}") from error
    return run or load(config.out)


def _train(fabric: "Fabric", config: Config, resume: bool, overwrite: bool) -> Run | None:
    """Train on this rank; return the run where it was not launched."""
    folder = RunFolder(Path(config.out))
    collectives.raise_together(lambda: _check(folder, resume=resume, overwrite=overwrite))
    with ExitStack() as stack:
        stack.enter_context(_alone_in_this_process())
        collectives.raise_together(lambda: _take(folder, stack))
        # a node all of whose own processes lived does not know of the restart
        restarted = collectives.all_reduce_any(
            rendezvous.is_restarted() and folder.has_checkpoint()
        )
        collectives.raise_together(lambda: folder.recover() if collectives.is_rank_zero() else None)
        resume = resume or restarted
        with interrupt_at_once():
            prepared = collectives.raise_together(
                lambda: _prepare(config, folder, fabric.device, resume=resume, overwrite=overwrite)
            )
        stack.enter_context(_begun(folder, prepared, resume=resume))
        return _train_in(folder, prepared, fabric, restarted=restarted)


def _train_in(
    folder: RunFolder, prepared: "_Prepared", fabric: "Fabric", *, restarted: bool
) -> Run | None:
    path, config = folder.path, prepared.config
    with ExitStack() as stack:
        if collectives.is_rank_zero():
            stack.enter_context(_logging_to(path / LOG))
            _record_skipped(prepared.dataset, folder)
        # its import draws random numbers, which must not come after the seed or a resumed state
        import rich.style  # noqa: F401  # pyright: ignore

        try:
            state = State.build(config, prepared.dataset, fabric)
            if prepared.found is not None:
                loaded = resuming.load(state, prepared.found)
                # as large as the state, on every rank, and read only once
                prepared = replace(prepared, found=None)
                if collectives.is_rank_zero():
                    checkpoint.settle(loaded)
            if restarted:
                _log.warning("restarted by torchrun: goes on from step %d", state.step)
            _log.info("step %d of %d, on %s", state.step, config.steps, state.device)
            _loop(config, state, folder, prepared.judge)
            _log.info("done: step %d", state.step)
        except TrainingError as failure:
            # a person hears of it by the error itself, once
            _log.info("failed: %s", failure)
            raise
        except Exception as error:
            _log.info("failed", exc_info=True)
            line = class_and_line(error)
            if collectives.world_size() > 1:
                # torchrun may end this process before the error itself is heard
                _log.error("rank %d: %s; %s", collectives.rank(), line, _whereabouts(path))
                # the other ranks may not know of it
                raise launching.RankError(f"rank {collectives.rank()}: {line}") from error
            raise TrainingError(f"{line}; {_whereabouts(path)}") from error
    if config.performance.is_shared:
        return None
    return Run(path, config, state.average.module.eval().requires_grad_(False))


def _check(folder: RunFolder, *, resume: bool, overwrite: bool) -> None:
    # torchrun starts the same command again over what it has made
    restarted = rendezvous.is_restarted() and folder.has_checkpoint()
    folder.check(resume=resume or restarted, overwrite=overwrite)


def _take(folder: RunFolder, stack: ExitStack) -> None:
    """Lock the folder before anything is written; the first rank holds it for all."""
    if collectives.is_rank_zero():
        stack.enter_context(locked(folder.path, wait=rendezvous.is_restarted()))


_training = threading.Lock()


@contextmanager
def _alone_in_this_process() -> Generator[None]:
    """Refuse a second training in this process: torch's random numbers are one for all threads."""
    require(
        _training.acquire(blocking=False),
        "train",
        expected="one training at a time in a process (its threads share their random numbers)",
        got="a second one",
    )
    try:
        yield
    finally:
        _training.release()


@contextmanager
def _begun(folder: RunFolder, prepared: "_Prepared", *, resume: bool) -> Generator[None]:
    """Make the folder this run's; after an error before the first checkpoint, undo it."""

    def begin() -> None:
        if collectives.is_rank_zero():
            folder.begin(resume=resume)
            configs.save(prepared.config, folder.path / CONFIG)

    try:
        collectives.raise_together(begin)
        yield
    except BaseException:
        # what torchrun starts again has to find that it has begun
        if collectives.is_rank_zero() and not rendezvous.is_launched():
            folder.abandon()
        raise


@dataclass(frozen=True)
class _Prepared:
    """What is found out before anything is written."""

    config: Config
    dataset: data.Dataset
    found: checkpoint.Found | None
    judge: evidence.Judge | None


def _prepare(
    config: Config, folder: RunFolder, device: torch.device, *, resume: bool, overwrite: bool
) -> _Prepared:
    folder.check(resume=resume, overwrite=overwrite)
    if resume:
        config = configs.as_begun(config, folder.settings())
    with counting("decoding") as progress:
        dataset = open_dataset(config.data, progress)
    config = _fill_in(config, dataset)
    # finds a model that cannot make such samples before anything is written
    size.require_room(config, device)
    found = resuming.find(folder.path, config, dataset) if resume else None
    judged = config.evaluation.every and collectives.is_rank_zero()
    return _Prepared(config, dataset, found, evidence.Judge(config, dataset) if judged else None)


def _whereabouts(folder: Path) -> str:
    return f"log: {folder / LOG}; last checkpoint: {folder / CHECKPOINTS / checkpoint.LAST}"


def _loop(config: Config, state: State, folder: RunFolder, judge: evidence.Judge | None) -> None:
    with ExitStack() as stack:
        recorder = None
        if collectives.is_rank_zero():
            with folder.files.recording("."):
                recorder = stack.enter_context(
                    Recorder(folder.path, start=state.step, every=config.log_every)
                )
        if judge is not None:
            judge.follow(iter_records(folder.path))
        progress = stack.enter_context(Progress(total=config.steps, start=state.step))
        stopped = stack.enter_context(stop_on_interrupt())
        outputs = _Outputs(config, state, folder, recorder, progress)
        if state.step == 0:
            outputs.picture()
            outputs.save_checkpoint()
        # after a kill it may be missing, or that of another step
        outputs.save_generator()
        while state.step < config.steps and not collectives.all_reduce_any(stopped()):
            outputs.follow(_step(config, state))
            if outputs.is_due(config.log_every):
                outputs.log()
            if outputs.is_due(config.sample_every):
                outputs.picture()
            if config.evaluation.every and outputs.is_due(config.evaluation.every):
                outputs.evaluate(judge)
            if outputs.is_due(config.save_every):
                outputs.save()
        if state.step < config.steps:
            outputs.save()
            raise Interrupted(
                f"interrupted at step {state.step}; "
                f"checkpoint: {folder.path / CHECKPOINTS / checkpoint.LAST}"
            )


def _step(config: Config, state: State) -> dict[str, Tensor]:
    """``n_critic`` critic steps and one generator step; return their terms, on the device."""
    state.set_learning_rate(_learning_rate(config, state.step))
    method = config.method
    # a relativistic generator is compared with real samples as well
    batches = method.n_critic + LOSSES[method.loss].relativistic
    reals = [state.sampler.take() for _ in range(batches)]
    terms = state.graph(partial(_iteration, state, method), reals)
    state.step += 1
    state.update_average(config.ema_start)
    return terms


def _iteration(state: State, method: Method, reals: list[data.Batch]) -> dict[str, Tensor]:
    """What the device does in a step, given real samples as they are stored."""
    critic_terms: dict[str, Tensor] = {}
    for real in reals[: method.n_critic]:
        critic_terms = critic_step(state, method, real)
    return critic_terms | generator_step(state, method, reals[-1])


class _Outputs:
    """What a run shows and writes while it trains.

    Without a ``recorder``, on all ranks but the first, it only takes part in what they do together.
    """

    def __init__(
        self,
        config: Config,
        state: State,
        folder: RunFolder,
        recorder: Recorder | None,
        progress: Progress,
    ) -> None:
        self._config, self._state = config, state
        self._run, self._folder = folder, folder.path
        self._recorder, self._progress = recorder, progress
        self._watch = _Watch(state.device)
        self._terms: dict[str, Tensor] = {}
        self._started = time.perf_counter() - state.seconds
        self._logged_step, self._logged_at = state.step, time.perf_counter()

    def is_due(self, every: int) -> bool:
        """Whether something is to be done at this step: every so many, and at the last."""
        return self._state.step % every == 0 or self._state.step == self._config.steps

    def follow(self, terms: dict[str, Tensor]) -> None:
        """Take note of a step, without waiting for the device."""
        self._terms = terms
        self._watch.update(terms, self._state.step)
        self._progress.advance(self._state.step)

    def log(self) -> None:
        """Write and show a record of the step; stop if something was not finite since the last."""
        self._watch.stop_if_not_finite(self._folder)
        state, now = self._state, time.perf_counter()
        record = {
            "step": state.step,
            "seconds": now - self._started,
            **_to_floats(self._terms, over_ranks=True),
            **evidence.transport_record(state, seed=self._config.seed),
            "lr": float(state.critic_optimizer.param_groups[0]["lr"]),
            "steps_per_second": (state.step - self._logged_step) / (now - self._logged_at),
            "sigma": _to_floats(state.sigmas()),
        }
        if self._recorder is not None:
            self._recorder.log(record)
            self._progress.log(record)
        self._logged_step, self._logged_at = state.step, now

    def picture(self) -> None:
        """Draw samples from noise that is the same at every step."""
        if self._recorder is None:
            self._state.lend_average()
            return
        samples = self._state.pictured(seed=self._config.seed)
        try:
            path = self._run.files.claim(f"{SAMPLES}/step-{self._state.step:06d}.png")
        except ValueError as error:
            # a picture is no reason to end a training
            _log.warning("no picture of step %d: %s", self._state.step, error)
            return
        pictures.save_samples(samples, path, reference=self._state.reference())
        self._recorder.picture(path, self._state.step)

    def evaluate(self, judge: evidence.Judge | None) -> None:
        """Record the metrics, and keep the checkpoint if it is the best so far."""
        self._watch.stop_if_not_finite(self._folder)
        values, is_best = {}, False
        if judge is None:
            self._state.lend_average()
        else:
            values = judge.evaluate(self._state, seed=self._config.seed)
            is_best = judge.is_best(values)
        if collectives.all_reduce_any(is_best):
            settings = resuming.settings_to_save(self._config)
            with self._recording():
                best = self._folder / CHECKPOINTS / checkpoint.BEST
                checkpoint.write(self._state.state_dict(), best, settings=settings)
        if self._recorder is None or judge is None:
            return
        self._recorder.log({"step": self._state.step, "evaluation": values})
        self._progress.note(
            f"step {self._state.step}: {judge.metric} {values.get(judge.metric, float('nan')):.4g}"
        )

    def save(self) -> None:
        """Write a checkpoint and the generator, the last ones with a certified critic if it can be.

        The checkpoint comes after all else that a run has at this step: whatever is not there after
        a kill is made again from the checkpoint before.
        """
        self._watch.stop_if_not_finite(self._folder)
        state, config = self._state, self._config
        if state.step == config.steps:
            evidence.certify(state)
        self.save_generator()
        self.save_checkpoint()

    def save_checkpoint(self) -> None:
        """Write the state as it is now, after the records that lead to it."""
        state, config = self._state, self._config
        state.seconds = time.perf_counter() - self._started
        if self._recorder is not None:
            self._recorder.flush()
        with self._recording():
            checkpoint.rotate(
                state.state_dict(),
                self._folder / CHECKPOINTS,
                keep_every=config.keep_every,
                settings=resuming.settings_to_save(config),
            )
        if self._recorder is not None:
            self._run.files.give_up()

    def save_generator(self) -> None:
        """Write the averaged generator as it is now."""
        generator = fsdp.unsharded(self._state.average.module)
        if self._recorder is not None:
            save_generator(generator, self._folder)

    def _recording(self) -> AbstractContextManager[None]:
        """List the files of a checkpoint; the first rank does for all."""
        return self._run.files.recording(CHECKPOINTS) if self._recorder else nullcontext()


def critic_step(state: State, method: Method, batch: data.Batch) -> dict[str, Tensor]:
    """Update the critic once, on real samples as they are stored, and fakes without gradients."""
    real, labels = state.sampler.prepared(batch)
    with torch.no_grad():
        # fakes of the real ones' classes, so that the points between a pair have a class
        fake = state.generate(state.noise(len(real)), labels)
        real, fake = state.augment(real), state.augment(fake)
    real_scores, fake_scores = _scores(state, (real, fake), labels, method)
    loss = LOSSES[method.loss].critic(real_scores, fake_scores)
    terms = {
        "critic_loss": loss.detach(),
        "w_estimate": (real_scores.mean() - fake_scores.mean()).detach(),
    }
    if method.penalty is not None:
        with state.autocast():
            # not its compiled call, which has no second derivative, but with its hooks
            call = state.critic.module._call_impl  # pyright: ignore[reportPrivateUsage]
            critic = partial(call, labels=labels)
            penalty = PENALTIES[method.penalty](critic, real, fake)
        terms["penalty"] = penalty.detach()
        loss = loss + method.penalty_weight * penalty
    if method.orthonormal:
        distance = orthonormal(state.critic.module)
        terms["orthonormal"] = distance.detach()
        loss = loss + method.orthonormal * distance
    state.critic_optimizer.zero_grad()
    state.backward(loss)
    dtensor.reshard(state.critic)
    terms["critic_gradient_norm"] = fsdp.gradient_norm(state.critic)
    state.critic_optimizer.step()
    if method.clip:
        clip_weights_(state.critic, method.clip)
    return terms


def generator_step(state: State, method: Method, batch: data.Batch) -> dict[str, Tensor]:
    """Update the generator once, through a critic whose weights get no gradients.

    As many fakes as the batch has real samples, which only relativistic losses look at.
    """
    pair, real_scores, n = LOSSES[method.loss], None, len(batch.samples)
    with _frozen(state.critic):
        if pair.relativistic:
            real, labels = state.sampler.prepared(batch)
            with torch.no_grad():
                real_scores = state.score(state.augment(real), labels)
        else:
            labels = state.sampler.draw_labels(n)
        fake = state.generate(state.noise(n), labels)
        # the critic shall not wait for gradients of its own
        with state.without_sync(state.critic):
            fake_scores = state.score(state.augment(fake), labels)
        loss = pair.generator(fake_scores, real_scores)
        state.generator_optimizer.zero_grad()
        state.backward(loss)
        dtensor.reshard(state.critic)
    terms = {
        "generator_loss": loss.detach(),
        "generator_gradient_norm": fsdp.gradient_norm(state.generator),
    }
    state.generator_optimizer.step()
    return terms


@contextmanager
def _frozen(network: Any) -> Generator[None]:
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _scores(
    state: State, batches: tuple[Tensor, Tensor], labels: Tensor | None, method: Method
) -> tuple[Tensor, Tensor]:
    """The critic's scores of real and of fake samples, in one forward where it can."""
    real, fake = batches
    if method.critic_norm == "batch":
        # in one batch each would be normalized by the mean of both
        return state.score(real, labels), state.score(fake, labels)
    both = None if labels is None else labels.repeat(2)
    real_scores, fake_scores = state.score(torch.cat([real, fake]), both).chunk(2)
    return real_scores, fake_scores


class _Watch:
    """Remembers on the device, without waiting for it, at which step a term was not finite."""

    def __init__(self, device: torch.device) -> None:
        self._names: list[str] = []
        self._first = torch.full((), torch.inf, device=device)

    def update(self, terms: dict[str, Tensor], step: int) -> None:
        self._names = list(terms)
        broken = ~torch.isfinite(torch.stack([term.float() for term in terms.values()]))
        self._first = torch.where(broken, self._first.clamp(max=step), self._first)

    def stop_if_not_finite(self, folder: Path) -> None:
        """On all ranks together: where one has met something, all stop."""
        if not self._names:
            return
        steps: list[float] = collectives.all_reduce_min(self._first).tolist()
        step, name = min(zip(steps, self._names, strict=True), key=lambda item: item[0])
        if step < torch.inf:
            raise TrainingError(
                f"{name} was not finite at step {step:.0f}; "
                f"last good checkpoint: {folder / CHECKPOINTS / checkpoint.LAST}; "
                f"log: {folder / LOG}; try a smaller learning rate (--method.lr)"
            )


def _learning_rate(config: Config, step: int) -> float:
    left = 1.0 - step / config.steps if config.schedule == "linear" else 1.0
    return config.method.lr * left


def _to_floats(terms: dict[str, Tensor], *, over_ranks: bool = False) -> dict[str, float]:
    """Read many scalars from the device at once, or their means over all ranks."""
    values = torch.stack([term.float() for term in terms.values()])
    return dict(
        zip(
            terms,
            (collectives.all_reduce_mean(values) if over_ranks else values).tolist(),
            strict=True,
        )
    )


def _fill_in(config: Config, dataset: data.Dataset) -> Config:
    """Settle what the settings leave to the data, so that the saved ones are complete."""
    shape = dataset.sample_shape
    name = config.model.name
    names = _class_names(dataset) if config.model.conditional else ()
    model = replace(
        config.model,
        name=models.default_model(shape) if name == "auto" else name,
        sample_shape=shape,
        class_names=names,
        empty_classes=_empty_classes(dataset, len(names)) if names else (),
    )
    read = config.data
    if dataset.is_images:
        read = replace(read, resolution=shape[-1], channels=shape[0])
    else:
        expected = f"none for points {shape}"
        require(not read.augment, "data.augment", expected=expected, got=repr(read.augment))
    return replace(config, model=model, data=read)


def _class_names(dataset: data.Dataset) -> tuple[str, ...]:
    labels = dataset.labels
    if labels is None:
        raise ValueError(
            f"model.conditional: expected data with labels (class folders, or a label column), "
            f"got none in {dataset.name}"
        )
    least, most = int(labels.min()), int(labels.max())
    require(least >= 0, "data", expected="labels of at least 0", got=least)
    names = dataset.class_names
    return names if len(names) > most else tuple(str(label) for label in range(most + 1))


def _empty_classes(dataset: data.Dataset, classes: int) -> tuple[int, ...]:
    counts = dataset.class_counts(classes).tolist()
    return tuple(index for index, count in enumerate(counts) if not count)


def _record_skipped(dataset: data.Dataset, folder: RunFolder) -> None:
    lines = [printable(f"{skipped.name}: {skipped.reason}") for skipped in dataset.skipped]
    for line in lines:
        _log.info("skipped %s", line)
    if lines:
        text = "".join(f"{line}\n" for line in lines)
        write_bytes(folder.files.claim(SKIPPED), text.encode())


class _LogFile(logging.FileHandler):
    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """A disk that fails is told of by what needs it; the log ends there."""


@contextmanager
def _logging_to(path: Path) -> Generator[None]:
    handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(handler)
    level = _log.level
    _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        _log.setLevel(level)
        _log.removeHandler(handler)
        # a full disk may be told of here only
        with suppress(OSError):
            handler.close()
