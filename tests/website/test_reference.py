"""The reference and the pages of advice say everything, and nothing that does not exist."""

import dataclasses
import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest

import sngan
from sngan.cli.main import COMMANDS, main, parser_of
from sngan.config import Config
from sngan.health import FINDINGS
from website import cli_reference, configuration, reference
from website.docstrings import as_markdown
from website.formulas import latex

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_every_public_name_is_described_once() -> None:
    made = reference.pages()
    described = [name for text in made.values() for name in re.findall(r'heading: "(.+)"', text)]
    assert len(described) == len(set(described))
    homes = [name for text in made.values() for name in re.findall(r"^::: (.+)$", text, re.M)]
    assert len(homes) == len(set(homes)) == len(described)
    for package, names in _public().items():
        index = made["reference/index.md"]
        for name in names:
            value = getattr(importlib.import_module(package), name)
            if not inspect.ismodule(value):
                assert f"| [`{name}`](" in index, f"{package}.{name}"


def test_the_markup_of_every_docstring_becomes_markdown() -> None:
    left = re.compile(r"={4,}|:(?:math|class|func|meth|mod|attr):`|``|^\.\. \w+::", re.MULTILINE)
    for package, names in _public().items():
        module = importlib.import_module(package)
        for value in (module, *(getattr(module, name) for name in names)):
            text = as_markdown(inspect.getdoc(value) or "").split("Examples\n---")[0]
            assert left.search(text) is None, f"{package}: {left.search(text)}"


def test_a_table_of_a_docstring_becomes_one_of_markdown() -> None:
    text = as_markdown(
        "Rules:\n\n    =====  =======\n    one    two\n    =====  =======\n    ``a``  says\n"
        "           more\n    b      nothing\n    =====  =======\n\nEnd."
    )
    rows = ["| one | two |", "| --- | --- |", "| `a` | says more |", "| b | nothing |"]
    assert text == "Rules:\n\n" + "\n".join(f"    {row}" for row in rows) + "\n\nEnd."


def test_every_described_name_can_be_found() -> None:
    for text in reference.pages().values():
        for home in re.findall(r"^::: (.+)$", text, re.M):
            module, _, name = home.rpartition(".")
            assert hasattr(importlib.import_module(module), name), home


def test_links_of_the_reference_have_their_target() -> None:
    made = reference.pages()
    for place, text in made.items():
        for page, anchor in re.findall(r"\]\(([\w.]*)#(sngan[\w.]+)\)", text):
            target = made[f"reference/{page}" if page else place]
            assert f"::: {anchor}\n" in target


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_page_has_every_flag(name: str) -> None:
    page = cli_reference.page()
    start = page.index(f"## sngan {name}\n")
    section = page[start:].split("\n## ")[0]
    _, parser = parser_of(name)
    settings = {f"--{one}" for one in _settings(hidden=True)}
    settings |= {f"--{one.rpartition('.')[2]}" for one in settings}
    # names such as --data stand for settings such as --data.source
    common = {one.split()[0] for one in parser.common}
    for flag in (set(parser.known_flags()) - settings - {"--method", "--model"}) | common:
        assert f"`{flag}" in section, flag
    for argument in parser.positional_names():
        assert f"`{argument.upper()}`" in section, argument


def test_the_configuration_page_has_every_setting_with_its_text() -> None:
    page = configuration.page()
    for key, field in _settings().items():
        row = next(line for line in page.splitlines() if f'id="{key}"' in line)
        assert str(field.metadata["help"]).replace("|", "\\|").replace("<", "&lt;") in row


def test_every_finding_of_the_doctor_has_its_remedy() -> None:
    text = (DOCS / "problems.md").read_text()
    headings = [line[4:].lower() for line in text.splitlines() if line.startswith("### ")]
    for name in FINDINGS:
        assert name in headings
        section = text.lower().split(f"### {name}\n")[1].split("\n### ")[0]
        assert {"**you see**", "**evidence**", "**try**"} <= set(
            re.findall(r"\*\*.+?\*\*", section)
        )


@pytest.mark.parametrize("page", ["problems.md", "choosing.md"])
def test_advice_names_flags_that_exist(page: str) -> None:
    text = (DOCS / page).read_text()
    known = {flag for name in COMMANDS for flag in parser_of(name)[1].known_flags()}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]+", text))
    anchors = re.findall(r"configuration\.md#([\w.]+)", text)
    assert len(named) + len(anchors) > 8
    assert named <= known | {"--help"}
    assert set(anchors) <= set(_settings())


def test_advice_has_flags_with_values_that_training_takes() -> None:
    text = (DOCS / "problems.md").read_text()
    flags = [code for code in re.findall(r"`(--[^`]+)`", text) if " " in code]
    # --extractor is a flag of `sngan evaluate`
    flags = [code for code in flags if code.split()[0] != "--extractor"]
    assert {"--betas", "--penalty", "--n_critic"} <= {code.split()[0] for code in flags}
    for code in flags:
        assert main(["train", *shlex.split(code), "--print_config"]) == 0, code


def test_a_formula_does_not_end_a_cell_of_a_table() -> None:
    rows = [
        line
        for text in reference.pages().values()
        for line in text.splitlines()
        if line.startswith("| [`")
    ]
    assert any("Vert" in row for row in rows)
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 3, row
        assert not any("|" in formula for formula in re.findall(r"\\\(.*?\\\)", row)), row


def test_every_cited_paper_is_in_the_bibliography() -> None:
    listed = (DOCS / "bibliography.md").read_text()
    cited = set()
    for path in [*(ROOT / "src").rglob("*.py"), *DOCS.rglob("*.md"), ROOT / "README.md"]:
        cited |= set(re.findall(r"arXiv:(\d{4}\.\d{4,5})", path.read_text()))
    assert len(cited) > 50
    assert {paper for paper in cited if f'id="arxiv-{paper}"' not in listed} == set()


def test_readme_and_site_share_no_text() -> None:
    readme = _sentences(ROOT / "README.md")
    for page in DOCS.rglob("*.md"):
        assert readme & _sentences(page) == set(), page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("‖W̄ᵀu‖/c", r"\Vert \bar{W}^{T}u\Vert /c"),
        ("W_p^p", "W_{p}^{p}"),
        ("√(E (x − E x)² + 1e-8)", r"\sqrt{E (x - E x)^{2} + 1\cdot 10^{-8}}"),
        ("λ_max", r"λ_{\max}"),
        ("(N, C, H, W)", None),
        ("generator.safetensors", None),
        ("min(x", None),
        ("x_", None),
    ],
)
def test_formulas_of_docstrings(text: str, expected: str | None) -> None:
    found = latex(text)
    assert (found and found.replace("  ", " ").replace(r"\max }", r"\max}")) == expected


def test_markup_of_docstrings() -> None:
    text = """See :func:`sngan.train` (arXiv:1704.00028).

    .. math:: a = b \\\\
              + c

    End."""
    shown = as_markdown(text)
    assert "See `train` ([arXiv:1704.00028](../bibliography.md#arxiv-1704.00028))." in shown
    assert "\\[ a = b \\\\ + c \\]" in shown
    assert shown.rstrip().endswith("End.")


def _public() -> dict[str, list[str]]:
    modules = [name for name in sngan.__all__ if inspect.ismodule(getattr(sngan, name))]
    return {"sngan": list(sngan.__all__)} | {
        f"sngan.{name}": list(getattr(sngan, name).__all__) for name in modules
    }


def _settings(*, hidden: bool = False) -> dict[str, dataclasses.Field[object]]:
    found: dict[str, dataclasses.Field[object]] = {}
    config = Config()
    for one in dataclasses.fields(config):
        value = getattr(config, one.name)
        inner = dataclasses.fields(value) if dataclasses.is_dataclass(value) else [one]
        prefix = f"{one.name}." if dataclasses.is_dataclass(value) else ""
        found |= {f"{prefix}{each.name}": each for each in inner}
    return {key: each for key, each in found.items() if hidden or "help" in each.metadata}


def _sentences(path: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    text = " ".join(line for line in text.splitlines() if not line.startswith(("|", "#")))
    return {one.strip() for one in re.split(r"(?<=[.:!?])\s+", text) if len(one.split()) > 9}
