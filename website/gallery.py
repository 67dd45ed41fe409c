"""Gallery of the scripts in ``examples/``: an index with pictures, and a page for each script.

A quick script runs when the site is built, and its results are kept until its code or sngan's
changes. The results of a long one lie in ``docs/examples``, where this command puts them:

    python -m website.gallery NAME ...
"""

import ast
import html
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from website.kept import ROOT, digest, digest_of_package

SCRIPTS, KEPT = ROOT / "examples", ROOT / "docs" / "examples"
STYLE = ROOT / "website" / "matplotlibrc"
PARTS = {
    "Begin here": "own_loop own_folder dcgan_converted class_conditional small_data",
    "See the idea": "six_boxes dual_potentials convolution_norm wgan_gp_against_sn",
    "Judge a run": "has_it_collapsed distance_of_data copies audit_critic which_gamma",
    "Share, scale, extend": "export_and_share own_parts fsdp_launch",
    "Beyond GANs": "certified_digits sngp_uncertainty rl_critic",
}
"""Parts of the index, in the order in which a beginner reads them."""

MOST_BYTES, MOST_WIDTH = 100_000, 800
_RUN = re.compile(r"^Run: python examples/(\w+)\.py  \(about (\d+) s on two CPU cores\)$", re.M)
# a training prints such lines before its steps and on the way
_PROGRESS = re.compile(r"^(?:(?:step|decoding) \d+(?:/\d+|: )|[\d,]+ steps ≈ ).*\n", re.M)
_CARDS = """<style>
.gallery { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); }
.gallery a { border: 1px solid var(--md-default-fg-color--lightest); border-radius: .3rem; color: inherit; display: block; padding: .6rem; }
.gallery a:hover, .gallery a:focus { border-color: var(--md-accent-fg-color); }
.gallery img { display: block; height: 8rem; margin-bottom: .5rem; object-fit: contain; width: 100%; }
</style>
"""  # noqa: E501


@dataclass(frozen=True)
class Example:
    """A script with its question, the explanation, and the seconds that it says it takes."""

    path: Path
    question: str
    text: str
    seconds: int

    @property
    def name(self) -> str:
        """The name of the script and of its picture."""
        return self.path.stem

    @property
    def code(self) -> str:
        """The script without its docstring."""
        source = self.path.read_text(encoding="utf-8")
        end = ast.parse(source).body[0].end_lineno
        return "\n".join(source.splitlines()[end:]).strip()


@dataclass(frozen=True)
class Results:
    """What a script made: its picture, what it printed, and the CPU seconds that it took."""

    picture: Path
    printed: str
    seconds: float


def examples(folder: Path = SCRIPTS) -> list[Example]:
    """Return the scripts whose docstring asks a question, those that take least time first.

    Raises
    ------
    ValueError
        If a script asks a question, but does not say how to run it.
    """
    found: list[Example] = []
    for path in sorted(folder.glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        question, _, rest = docstring.partition("\n")
        if not question.endswith("?"):
            continue
        run = _RUN.search(rest)
        if run is None or run[1] != path.stem:
            expected = f"a line 'Run: python examples/{path.stem}.py  (about N s on two CPU cores)'"
            raise ValueError(f"{path.name}: expected {expected} in its docstring, got none")
        text = rest[: run.start()].strip()
        found.append(Example(path, question, text, int(run[2])))
    return sorted(found, key=lambda example: (example.seconds, example.name))


def pages(output_folder: Path) -> dict[str, str | Path]:
    """Run the quick scripts, and return the site's files: Markdown, or a file to copy, by path.

    Parameters
    ----------
    output_folder
        The folder where the results of quick scripts are kept between builds.
    """
    return pages_of(examples(), output_folder, kept=KEPT)


def pages_of(found: list[Example], output_folder: Path, *, kept: Path) -> dict[str, str | Path]:
    """Return the index, the page of each script, and the pictures of the quick ones.

    Parameters
    ----------
    found
        The scripts.
    output_folder
        The folder of the quick scripts' results.
    kept
        The folder of the long scripts' results, which is a part of the site's sources.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda example: _results(example, output_folder, kept), found))
    made: dict[str, str | Path] = {"gallery.md": _index(found, results)}
    for example, result in zip(found, results, strict=True):
        made[f"examples/{example.name}.md"] = _page(example, result)
        if result.picture.parent != kept:
            made[f"examples/{result.picture.name}"] = result.picture
    return made


def keep(names: Iterable[str], *, scripts: Path = SCRIPTS, kept: Path = KEPT) -> None:
    """Run long scripts, and keep a small picture and what they printed in ``kept``.

    Raises
    ------
    ValueError
        If there is no script of this name.
    RuntimeError
        If a script fails.
    """
    known = {example.name: example for example in examples(scripts)}
    for name in names:
        if name not in known:
            raise ValueError(f"name: expected one of {', '.join(sorted(known))}, got {name}")
        with tempfile.TemporaryDirectory() as folder:
            result = run(known[name], Path(folder))
            picture, ending = _small(result.picture)
        for old in kept.glob(f"{name}.*"):
            old.unlink()
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{name}{ending}").write_bytes(picture)
        (kept / f"{name}.txt").write_text(f"{result.seconds:.0f}\n{result.printed}", "utf-8")
        print(f"{name}: {result.seconds:.0f} CPU s, picture of {len(picture) / 1000:.0f} kB")


def run(example: Example, folder: Path) -> Results:
    """Run a script in a process of its own; its picture goes into the folder.

    Raises
    ------
    RuntimeError
        If it fails or makes no picture.
    """
    settings = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    settings["MATPLOTLIBRC"] = str(STYLE)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        printed, errors = (Path(temporary) / name for name in ("printed.txt", "errors.txt"))
        with printed.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, str(example.path.resolve()), str(folder.resolve())],
                cwd=temporary,
                env=os.environ | settings | {"TMPDIR": temporary},
                stdout=out,
                stderr=err,
            )
            # wait4 also gives the CPU time of the process and of those that it started
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        picture = folder / f"{example.name}.png"
        if process.returncode or not picture.exists():
            raise RuntimeError(f"{example.path} failed:\n{errors.read_text('utf-8')[-3000:]}")
        answer = _PROGRESS.sub("", printed.read_text("utf-8"))
    return Results(picture, answer, usage.ru_utime + usage.ru_stime)


def _results(example: Example, output_folder: Path, kept: Path) -> Results:
    """Read the results of a long script, or of a quick one, which runs first if it has changed."""
    own = [path for path in sorted(kept.glob(f"{example.name}.*")) if path.suffix != ".txt"]
    if own:
        seconds, _, printed = own[0].with_suffix(".txt").read_text("utf-8").partition("\n")
        return Results(own[0], printed, float(seconds))
    folder = output_folder / example.name
    record = folder / "results.json"
    today = digest([example.path, STYLE]) + digest_of_package()
    if record.exists():
        found = json.loads(record.read_text("utf-8"))
        if found["digest"] == today:
            picture = folder / f"{example.name}.png"
            return Results(picture, found["printed"], found["seconds"])
    result = run(example, folder)
    values = {"digest": today, "printed": result.printed, "seconds": result.seconds}
    record.write_text(json.dumps(values), "utf-8")
    return result


def _small(path: Path) -> tuple[bytes, str]:
    """Return a picture in few bytes, with its ending: a PNG if it is small enough, or a JPEG."""
    with Image.open(path) as opened:
        picture = opened.convert("RGBA")
    picture.thumbnail((MOST_WIDTH, 10 * MOST_WIDTH))
    whole = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    few = Image.Quantize.FASTOCTREE  # keeps transparency
    choices = [(picture, {}, "png")]
    choices += [(picture.quantize(colours, few), {}, "png") for colours in (256, 64)]
    choices += [(whole, {"quality": quality}, "jpeg") for quality in (85, 70, 55, 40)]
    for made, options, form in choices:
        buffer = io.BytesIO()
        made.save(buffer, form, optimize=True, **options)
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue(), f".{form}"
    raise ValueError(f"{path.name}: expected at most {MOST_BYTES} bytes, got {buffer.tell()}")


def _index(found: list[Example], results: list[Results]) -> str:
    cards = dict(zip((one.name for one in found), map(_card, found, results), strict=True))
    parts = {
        title: [cards.pop(name) for name in names.split() if name in cards]
        for title, names in PARTS.items()
    }
    parts["More"] = list(cards.values())
    sections = "\n".join(
        f'## {title}\n\n<div class="gallery">\n{"".join(own)}</div>\n'
        for title, own in parts.items()
        if own
    )
    return (
        "# Gallery\n\nEach script answers one question, and runs by itself on a CPU. The page of a "
        "script has its picture, what it prints, its code, and the CPU time that it took. Two more "
        "are for reading: `examples/verify.py` checks a certificate with NumPy alone, and the "
        "package `examples/plugin` adds networks, a loss and data of its own to sngan.\n\n"
        f"{_CARDS}\n{sections}"
    )


def _card(example: Example, result: Results) -> str:
    return (
        f'<a href="examples/{example.name}.html">'
        f'<img src="examples/{result.picture.name}" alt="" loading="lazy">'
        f"{html.escape(example.question)} <small>{result.seconds:.0f}&nbsp;s</small></a>\n"
    )


def _page(example: Example, result: Results) -> str:
    return (
        f"# {example.question}\n\n{example.text}\n\n"
        # on a phone, a touch shows the picture in its full size
        f"[![{example.question}]({result.picture.name})]({result.picture.name})\n\n"
        f"It prints, in {result.seconds:.0f} s of CPU time:\n\n"
        f"```text\n{result.printed.strip()}\n```\n\n"
        f"## The script\n\n`python examples/{example.path.name} FOLDER` saves the picture in "
        f"FOLDER.\n\n```python\n{example.code}\n```\n"
    )


if __name__ == "__main__":
    keep(sys.argv[1:])
