"""A step as one graph: taped on the CPU, where the tape knows no more than a CUDA graph does."""

import logging
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from helpers.training import AUGMENTED, BY_CLASS, NoWaiting, assert_identical, build, tiny
from sngan import METHODS
from sngan.config import DataConfig, PerformanceConfig
from sngan.engine import steps as steps_module
from sngan.engine import train as training
from sngan.engine import train_step
from sngan.engine.replay import cuda_graph as graphs
from sngan.engine.step_records import read_terms
from sngan.runs import checkpoint

STEPS = 50


class Tape(TorchDispatchMode):
    """Repeats operations on the same tensors, like a CUDA graph: what the host did is frozen.

    Unlike one it does the operations while it records them, so that the first replay is done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = []
        self.is_done = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function.overloadpacket.__name__ != "_local_scalar_dense", "a value read on the host"
        results = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, results))
        self.is_done = True
        return results

    def replay(self) -> None:
        if self.is_done:
            self.is_done = False
            return
        # the operations of the backward passes are on the tape themselves
        with torch._C._AutoDispatchBelowAutograd():
            self._repeat()

    def _repeat(self) -> None:
        for function, args, kwargs, results in self.operations:
            again = function(*args, **kwargs)
            # those that change a tensor or look at it have done their work
            if not any(value.alias_info for value in function._schema.returns):
                for kept, new in zip(tree_leaves(results), tree_leaves(again), strict=True):
                    if isinstance(kept, torch.Tensor):
                        kept.copy_(new)


class Stream:
    def wait_stream(self, other) -> None:
        pass


class Generator:
    def __init__(self) -> None:
        self.was_set = False

    def clone_state(self) -> torch.Tensor:
        return torch.get_rng_state()

    def graphsafe_set_state(self, state: torch.Tensor) -> None:
        torch.set_rng_state(state)
        self.was_set = True


@contextmanager
def recording(tape, capture_error_mode):
    assert capture_error_mode == "thread_local"
    with tape:
        yield


def without_capturable(init):
    """Drop the option that torch refuses on a CPU, where only the fused Adam keeps to tensors."""

    def init_without(self, parameters, *, capturable=False, **options):
        assert capturable == isinstance(options["lr"], torch.Tensor)
        init(self, parameters, **options)

    return init_without


@pytest.fixture
def cuda(monkeypatch) -> Generator:
    """What of CUDA a captured step needs, on the CPU."""
    generator = Generator()
    monkeypatch.setattr(graphs, "why_not_captured", lambda device: None)
    monkeypatch.setattr(torch.optim.Adam, "__init__", without_capturable(torch.optim.Adam.__init__))
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "default_generators", [generator])
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Tape)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    return generator


def asked(folder, wanted: str, **settings):
    performance = PerformanceConfig(device="cpu", cuda_graphs=wanted)
    return tiny(folder, performance=performance, schedule="linear", ema_start=6, **settings)


def stepped(config, *, steps: int = STEPS) -> tuple[list[dict], dict]:
    state = build(config)
    terms = [read_terms(train_step(config, state)) for _ in range(steps)]
    return terms, state.state_dict()


# these differ in what a step does; the losses of the others are functions of the same scores
QUICK = ("sn", "sn-operator", "wgan-gp", "r1", "bn", "wn", "orthonormal", "r3gan")
QUICK_BY_CLASS = ("sn", "wgan-gp", "bn")
CASES = [
    pytest.param(
        method,
        by_class,
        id=f"{method}-{'by-class-augmented' if by_class else 'plain'}",
        marks=[pytest.mark.slow] * (method not in (QUICK_BY_CLASS if by_class else QUICK)),
    )
    for method in METHODS
    for by_class in (False, True)
    if METHODS[method].optimizer == "adam"
]


@pytest.mark.parametrize(("method", "by_class"), CASES)
def test_a_captured_step_is_the_step(tmp_path, cuda, method, by_class):
    """All that a step needs is in tensors: learning rate, batches, random numbers, its state."""
    more = {"model": BY_CLASS, "data": AUGMENTED} if by_class else {}
    more |= {"method": replace(METHODS[method], n_critic=2), "steps": STEPS}
    captured, state = stepped(asked(tmp_path, "auto", **more), steps=9)
    config = asked(tmp_path, "off", **more)
    eager_state = build(config)
    # the same optimizers, of which each step is called
    twin = build(asked(tmp_path, "auto", **more))
    twin.runtime = replace(twin.runtime, graph=eager_state.runtime.graph)
    eager = [read_terms(train_step(config, twin)) for _ in range(9)]
    assert captured == eager
    assert_identical(state, twin.state_dict())


@pytest.mark.parametrize("augment", ["ada", "p=0->0.5"])
def test_a_captured_step_changes_the_probability_of_augmentation(tmp_path, cuda, augment):
    augmented = DataConfig(augment=augment, augment_images=400)
    settings = {"data": augmented, "steps": STEPS, "method": replace(METHODS["sn"], n_critic=3)}
    captured, _ = stepped(asked(tmp_path, "auto", **settings), steps=12)
    eager, _ = stepped(asked(tmp_path, "off", **settings), steps=12)
    found, expected = ([one["augment_p"] for one in run] for run in (captured, eager))
    assert found == expected
    assert len(set(found)) > 4


def test_captured_and_eager_runs_agree_over_50_steps(tmp_path, cuda, caplog):
    """The eager run has the plain optimizer, which rounds in another order."""
    caplog.set_level(logging.INFO, "sngan")
    captured, state = stepped(asked(tmp_path, "on", steps=STEPS))
    assert [r.getMessage() for r in caplog.records] == ["performance.cuda_graphs: captured"]
    eager, other = stepped(asked(tmp_path, "off", steps=STEPS))
    for one, two in zip(captured, eager, strict=True):
        assert one == pytest.approx(two, rel=1e-3, abs=1e-4)
    for name, tensor in other["critic"].items():
        torch.testing.assert_close(state["critic"][name], tensor, rtol=1e-3, atol=1e-4)


def test_the_tape_finds_what_the_host_decides(cuda):
    """The emulation is no test of anything unless it fails where a CUDA graph would."""
    from sngan.data import Batch

    rate = [1.0]
    step = graphs.StepGraph(torch.device("cpu"), wanted="on")
    batch = [Batch(torch.ones(2), None)]
    results = []
    for rate[0] in range(1, 8):
        results.append(step(lambda b: {"x": b[0].samples * rate[0]}, batch)["x"][0].item())
    assert results == [1, 2, 3, 4, 4, 4, 4]


def test_what_cannot_be_captured_is_called(tmp_path, cuda, monkeypatch, caplog):
    def unable(self):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(Tape, "__enter__", unable)
    config = asked(tmp_path, "on")
    captured, state = stepped(config, steps=10)
    assert [r.getMessage() for r in caplog.records] == [
        "performance.cuda_graphs: not captured, operation not permitted when stream is capturing"
    ]
    assert cuda.was_set
    twin = build(config)
    twin.runtime = replace(twin.runtime, graph=graphs.StepGraph(twin.runtime.device, wanted="off"))
    eager = [read_terms(train_step(config, twin)) for _ in range(10)]
    assert captured == eager
    assert_identical(state, twin.state_dict())


def test_the_reason_is_the_first_failure(tmp_path, cuda, monkeypatch, caplog):
    """Ending a capture that failed fails too, and says nothing of why."""

    real_end = Tape.__exit__

    def end(self, *error):
        real_end(self, *error)
        raise RuntimeError("operation failed due to a previous error during capture")

    def work(_batches):
        raise RuntimeError("the reason")

    monkeypatch.setattr(Tape, "__exit__", end)
    step = graphs.StepGraph(torch.device("cpu"), wanted="on")
    for _ in range(3):
        step(lambda _: {}, [])
    with pytest.raises(RuntimeError, match="the reason"):
        step(work, [])
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["performance.cuda_graphs: not captured, the reason"]


def test_a_failure_in_the_middle_of_capturing_leaves_the_critic_trainable(
    tmp_path, cuda, monkeypatch
):
    config = asked(tmp_path, "on")
    state = build(config)
    real_noise, calls = steps_module.draw_noise, []

    def noise(state, n):
        calls.append(n)
        # the generator step's noise while it is captured
        if len(calls) == 4 * (config.method.n_critic + 1):
            raise RuntimeError("not while capturing")
        return real_noise(state, n)

    monkeypatch.setattr(steps_module, "draw_noise", noise)
    for _ in range(6):
        terms = train_step(config, state)
    assert all(p.requires_grad for p in state.critic.parameters())
    assert all(torch.isfinite(term) for term in terms.values())


def test_without_cuda_one_line_says_so_if_it_was_asked_for(tmp_path, caplog):
    state = build(asked(tmp_path, "auto"))
    assert not caplog.records
    assert not isinstance(state.critic_optimizer.param_groups[0]["lr"], torch.Tensor)
    build(asked(tmp_path, "on"))
    assert [r.getMessage() for r in caplog.records] == [
        "performance.cuda_graphs: not captured, cpu has no CUDA graphs"
    ]


def test_a_run_goes_on_with_or_without_graphs(tmp_path, cuda):
    """The options of an optimizer belong to the device, not to the checkpoint."""
    for first, then in (("auto", "off"), ("off", "auto")):
        run = tmp_path / first
        training.train(asked(run, first, steps=10))
        training.train(replace(asked(run, then, steps=20)), resume=True)
    one, other = (
        checkpoint.read(tmp_path / name / "checkpoints" / "last.pt")["critic"]
        for name in ("auto", "off")
    )
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-5)


def test_a_captured_step_reads_nothing_on_the_host(tmp_path, cuda):
    config = asked(tmp_path, "on")
    state = build(config)
    for _ in range(4):
        train_step(config, state)
    batches = [state.sampler.take() for _ in range(config.method.n_critic)]
    with NoWaiting([]):
        state.runtime.graph(lambda _: {}, batches)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("method", ["sn", "sn-operator", "wgan-gp", "wgan", "r3gan"])
def test_on_a_gpu_a_captured_run_is_the_eager_run(tmp_path, method):
    results = []
    for wanted in ("on", "off"):
        performance = PerformanceConfig(
            device="cuda", cuda_graphs=wanted, compile="off", precision="32-true"
        )
        config = tiny(tmp_path, method=method, performance=performance, steps=STEPS)
        results.append(stepped(config))
    for one, two in zip(*(terms for terms, _ in results), strict=True):
        assert one == pytest.approx(two, rel=1e-2, abs=1e-3)
