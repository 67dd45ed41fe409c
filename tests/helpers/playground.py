"""Cases for the playground's JavaScript: a run of the library, with all that it started from."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sngan import Config, data
from sngan.engine import TrainState, train_step
from sngan.spectral import SpectralNorm

FOLDER = Path(__file__).parents[2] / "docs" / "playground"
CORE = [FOLDER / f"{name}.js" for name in ("engine", "session")]
CALLS = Path(__file__).parent / "playground_calls.js"
STEPS = 20

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


def library_run(method: str, source: str, *, seed: int, **settings: Any) -> tuple[Any, Any]:
    """Train some steps with the library; return what JavaScript starts from, and the results.

    The noise is drawn again from torch's global generator, in the order in which a step draws it.
    """
    config = Config(
        data=source, method=method, seed=seed, batch_size=32, width=0.125, schedule="constant",
        **settings,
    )  # fmt: skip
    dataset = data.open_source(source)
    config = config.of_family(is_images=False)
    state = TrainState.build(config, dataset)
    start = _start_of(state, config)
    torch.manual_seed(seed)
    start["steps"] = [_draws(state, config) for _ in range(STEPS)]
    state = TrainState.build(config, dataset)
    torch.manual_seed(seed)
    terms = [{key: float(value) for key, value in train_step(config, state).items()}
             for _ in range(STEPS)]  # fmt: skip
    return start, {**_weights_of(state), "terms": terms}


def _start_of(state: TrainState, config: Config) -> dict[str, Any]:
    coordinates = state.critic.module.coordinates
    method = config.method
    names = ("loss", "clip", "penalty", "penalty_weight", "optimizer", "lr", "betas", "n_critic")
    settings = {name: getattr(method, name) for name in names}
    settings["coefficient"] = method.coefficient if method.spectral_norm else None
    return {
        **_weights_of(state),
        "settings": settings,
        "center": coordinates.center.tolist(),
        "spread": coordinates.scale.tolist(),
    }


def _weights_of(state: TrainState) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: [
            {"w": layer.weight.flatten().tolist(), "b": layer.bias.tolist()}
            for layer in getattr(state, name).module.layers
            if isinstance(layer, nn.Linear)
        ]
        for name in ("generator", "critic")
    }
    norm = state.spectral_norm
    found["norms"] = [] if norm is None else norms_of(norm)
    return found


def norms_of(norm: SpectralNorm) -> list[dict[str, Any]]:
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
