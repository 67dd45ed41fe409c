"""Model card: what a generator is, how to use it, how it was trained, in the hub's format."""

from pathlib import Path
from typing import Any

from sngan.config import Config
from sngan.methods.description import constraint
from sngan.metrics.meaning import MEANINGS
from sngan.metrics.result import HIGHER_IS_BETTER, direction
from sngan.report.card import Card
from sngan.report.history import History
from sngan.runs.model_file import settings_to_share
from sngan.runs.records import iter_records
from sngan.runs.run import Run
from sngan.utils.files import write_bytes
from sngan.utils.tables import NOTHING
from sngan.utils.text import printable


def card_of(run: Run, *, name: str | None = None, place: str | None = None) -> Card:
    """Return the card of a run, from its settings and records.

    Parameters
    ----------
    run
        The run.
    name
        The name of the model; left out: that of the run's folder or file.
    place
        How a reader names the model, such as ``hf:USER/NAME``; left out: the file.
    """
    config = run.config
    shape = config.model.sample_shape or ()
    source = settings_to_share(config)["data"]["source"]
    kind = f"images of {_size(shape)}" if len(shape) == 3 else f"points in {sum(shape)} dimensions"
    own = name or run.folder.resolve().name.removesuffix(run.folder.suffix) or "generator"
    # a folder of a person's machine would tell nobody else anything
    records = iter_records(run.folder) if run.folder.is_dir() else iter(())
    history = History(records, keys=(), groups=("evaluation",))
    evaluation = history.groups["evaluation"]
    used = place or "generator.safetensors"
    output = "samples.png" if len(shape) == 3 else "samples.npz"
    return Card(
        name=printable(own),
        summary=(
            f"A generator of {kind}, trained on {printable(source)} with sngan: "
            f"method {config.method.name} ({config.method.paper})."
        ),
        facts=_facts(run, history, source),
        metrics=[(key, f"{one.last[1]:.4g}", _meaning(key)) for key, one in evaluation.items()],
        measured=(
            f"{config.evaluation.samples:,} samples, features of {_extractor(config)}, at the last "
            "evaluation of the run."
        ),
        use=[
            "# pip install sngan",
            f"# sngan generate {used} --n 64 --out {output}",
            "import sngan",
            f'run = sngan.load("{used}")',
            f"samples = run.generate(16, seed=0)  # {_tensor(shape)}",
        ],
        header=_header(run, own, source, metrics={k: one.last[1] for k, one in evaluation.items()}),
    )


def write_card(run: Run, out: Path, *, name: str | None = None) -> None:
    """Write the card of a run as Markdown."""
    write_bytes(out, card_of(run, name=name).markdown().encode())


def _meaning(metric: str) -> str:
    """Return the meaning of a metric, and which values are better."""
    better = direction(metric)
    words = MEANINGS.get(metric, "")
    return words if better == NOTHING else f"{words} ({better} is better)"


def _extractor(config: Config) -> str:
    """Return the name of the features; ``auto`` would tell a reader of the card nothing."""
    settings = config.evaluation
    if settings.extractor != "auto":
        return settings.extractor
    if len(config.model.sample_shape or ()) != 3:
        return "the points themselves"
    # see ``features``: the first version had pixels for images without labels
    is_early = settings.features == 1 and not config.model.num_classes
    return "pixels, or of domain for labelled data" if is_early else "domain, trained on the data"


def _facts(run: Run, history: History, source: str) -> list[tuple[str, str]]:
    config = run.config
    model, method = config.model, config.method
    weights = sum(weight.numel() for weight in run.generator.parameters())
    classes = ", ".join(map(printable, model.class_names)) or "none"
    facts = [
        ("data", printable(source)),
        ("classes", classes),
        ("steps", f"{history.step or config.steps:,}"),
        ("samples in a step", f"{config.batch_size:,}"),
        ("loss of the critic", method.loss),
        ("constraint of the critic", constraint(method)),
        ("critic steps for each step", f"{method.n_critic}"),
        ("networks", f"{model.name}, width {model.width:g}"),
        ("dimension of the noise", f"{model.latent_dim}"),
        ("weights of the generator", f"{weights:,}"),
        ("seed", f"{config.seed}"),
    ]
    if history.seconds is not None:
        facts.append(("training time", f"{history.seconds / 60:.1f} minutes"))
    return facts


def _header(run: Run, name: str, source: str, *, metrics: dict[str, float]) -> dict[str, Any]:
    is_of_images = len(run.config.model.sample_shape or ()) == 3
    header: dict[str, Any] = {
        "library_name": "sngan",
        "tags": ["sngan", "gan", "spectral-normalization", run.config.method.name],
    }
    if is_of_images:
        header["pipeline_tag"] = "unconditional-image-generation"
    dataset = source.removeprefix("hf:").partition(":")[0] if source.startswith("hf:") else None
    if dataset:
        header["datasets"] = [dataset]
    if metrics:
        task = {"type": header.get("pipeline_tag", "unconditional-generation")}
        # a standard error and the number of all modes are no results
        values = [
            {"type": key, "value": float(f"{value:.6g}")}
            for key, value in metrics.items()
            if key in HIGHER_IS_BETTER
        ]
        about = {"type": dataset or "other", "name": printable(source)}
        results = [{"task": task, "dataset": about, "metrics": values}]
        header["model-index"] = [{"name": printable(name), "results": results}]
    return header


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    colours = {1: "grey", 3: "colour", 4: "colour and transparency"}.get(channels, f"{channels}")
    return f"{height}×{width} pixels in {colours}"


def _tensor(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, (16, *shape)))}){' in [-1, 1]' if len(shape) == 3 else ''}"
