"""Cases for the playground's JavaScript: a run of the library, with all that it started from."""

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from sngan import Config, data, penalties
from sngan.engine import TrainState, train_step
from sngan.losses import LOSSES
from sngan.methods import Method
from sngan.spectral import SpectralNorm

FOLDER = Path(__file__).parents[2] / "docs" / "playground"
CORE = [FOLDER / f"{name}.js" for name in ("engine", "session")]
CALLS = Path(__file__).parent / "playground_calls.js"
STEPS = 20

Results = dict[str, Any]

_MAIN = """
const [, file, ...scripts] = process.argv;
for (const script of scripts) require(script);
const { name, given } = JSON.parse(require("fs").readFileSync(file, "utf8"));
process.stdout.write(JSON.stringify(globalThis.calls[name](given)));
"""


def by_node(name: str, given: Any, folder: Path) -> Any:
    """Call a function of ``playground_calls.js`` in node; the argument goes through a file."""
    file = folder / "given.json"
    file.write_text(json.dumps({"name": name, "given": given}))
    command = [shutil.which("node") or "node", "-e", _MAIN, str(file), *map(str, [*CORE, CALLS])]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout)


def library_run(method: str, source: str, *, seed: int) -> tuple[Any, Results]:
    """Train some steps by ``train_step``; return what a copy must start from, and the results.

    The noise is drawn again from torch's global generator, in the order in which a step draws it.
    """
    config, dataset = config_of(method, source, seed=seed), data.open_source(source)
    state = TrainState.build(config, dataset)
    start = _start_of(state, config)
    torch.manual_seed(seed)
    start["steps"] = [_draws(state, config) for _ in range(STEPS)]
    state = TrainState.build(config, dataset)
    torch.manual_seed(seed)
    terms: list[dict[str, float]] = []
    for _ in range(STEPS):
        terms.append({key: float(value) for key, value in train_step(config, state).items()})
    return start, {**_weights_of(state), "terms": terms}


def double_run(method: str, source: str, start: Any, *, seed: int) -> Results:
    """Train the same steps in float64, in a loop of the library's public parts."""
    config = config_of(method, source, seed=seed)
    state = TrainState.build(config, data.open_source(source))
    networks = state.generator, state.critic
    generator, critic = (copy.deepcopy(network.module).double() for network in networks)
    optimizers = [
        config.method.make_optimizer(network.parameters()) for network in (generator, critic)
    ]
    norm = None
    if state.spectral_norm is not None:
        norm = SpectralNorm(critic, optimizers[1], coefficient=config.method.coefficient)
        norm.load_state_dict(state.spectral_norm.state_dict())
    for step in start["steps"]:
        for one in step["critic"]:
            _critic_step(config.method, generator, critic, optimizers[1], one)
        optimizers[0].zero_grad()
        scores = critic(generator(_rows(step["noise"])))
        LOSSES[config.method.loss].generator(scores).backward()
        optimizers[0].step()
    return weights_of(generator, critic, norm)


def _critic_step(
    method: Any, generator: nn.Module, critic: Any, optimizer: Any, drawn: dict[str, Any]
) -> None:
    real, mix = _rows(drawn["real"]), torch.tensor(drawn["mix"], dtype=torch.float64)[:, None]
    fake = generator(_rows(drawn["noise"])).detach()
    optimizer.zero_grad()
    loss = LOSSES[method.loss].critic(critic(real), critic(fake))
    if method.penalty:
        standard = critic.coordinates
        pair = standard.standard(real), standard.standard(fake)
        with patch("torch.rand", lambda *_, **__: mix):
            penalty = penalties.PENALTIES[method.penalty](
                lambda points: critic(standard.original(points)), *pair
            )
        loss = loss + method.penalty_weight * penalty
    loss.backward()
    optimizer.step()
    if method.clip:
        penalties.clip_weights_(critic, method.clip)


def deviation(one: Results, other: Results) -> float:
    """The largest difference of two results, over the weights, norms and losses of both."""
    found = [0.0]
    for name in ("generator", "critic", "norms", "terms"):
        for left, right in zip(one.get(name, []), other.get(name, []), strict=False):
            for key in left.keys() & right.keys():
                pair = (torch.tensor(values[key], dtype=torch.float64) for values in (left, right))
                found.append(float(torch.sub(*pair).abs().max()))
    return max(found)


def _rows(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 2)


def settings_of(method: Method) -> dict[str, Any]:
    """The settings of a method by the names that JavaScript uses."""
    names = ("loss", "clip", "penalty", "penalty_weight", "optimizer", "lr", "betas", "n_critic")
    settings = {name: getattr(method, name) for name in names}
    settings["coefficient"] = method.coefficient if method.spectral_norm else None
    return {**settings, "betas": list(method.betas)}


def config_of(method: str, source: str, *, seed: int) -> Config:
    """Settings for small networks and batches of points, with a constant learning rate."""
    config = Config(
        data=source, method=method, seed=seed, batch_size=32, width=0.125, schedule="constant"
    )
    return config.of_family(is_images=False)


def _start_of(state: TrainState, config: Config) -> dict[str, Any]:
    coordinates = state.critic.module.coordinates
    return {
        **_weights_of(state),
        "settings": settings_of(config.method),
        "center": coordinates.center.tolist(),
        "spread": coordinates.scale.tolist(),
    }


def _weights_of(state: TrainState) -> Results:
    return weights_of(state.generator.module, state.critic.module, state.spectral_norm)


def weights_of(generator: Any, critic: Any, norm: SpectralNorm | None) -> Results:
    """The weights and biases of both networks, and the state of the norms, as plain lists."""
    found: Results = {
        name: [
            {"w": layer.weight.flatten().tolist(), "b": layer.bias.tolist()}
            for layer in network.layers
            if isinstance(layer, nn.Linear)
        ]
        for name, network in (("generator", generator), ("critic", critic))
    }
    return {**found, "norms": [] if norm is None else _norms_of(norm)}


def _norms_of(norm: SpectralNorm) -> list[dict[str, Any]]:
    """``u`` and ``s`` = σ/c of each layer."""
    layers = norm.state_dict()["layers"].values()
    return [{"u": layer["u"].tolist(), "s": float(layer["scale"])} for layer in layers]


def _draws(state: TrainState, config: Config) -> dict[str, Any]:
    """The batches and the random numbers of one step."""
    n, found = config.batch_size, []
    assert isinstance(n, int)
    batches = [state.sampler.take().samples for _ in range(config.method.n_critic)]
    for real in batches:
        noise = torch.randn(n, 2)
        mix = torch.rand(n, 1) if config.method.penalty == "wgan-gp" else torch.zeros(n, 1)
        found.append({"real": _flat(real), "noise": _flat(noise), "mix": _flat(mix)})
    return {"critic": found, "noise": _flat(torch.randn(n, 2))}


def _flat(values: Tensor) -> list[float]:
    return values.flatten().tolist()
