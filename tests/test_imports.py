"""Imports point one way, and nothing heavy is imported before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "sngan"

# each row may import from the rows above it, and from itself only inside a folder
LEVELS = [
    {"utils"},
    {
        *("_checks", "_derivatives", "_fields", "_reals", "_scaling", "_signals"),
        *("_ranks", "_rendezvous", "_shards"),
    },
    {"distributed", "events"},
    {
        "spectral",
        "transport",
        "losses",
        "augment",
        "data",
        "pictures",
        "console",
        "records",
        "compiling",
        "precision",
        "shard_files",
        "sharding",
    },
    {"lipschitz", "models", "metrics", "penalties", "strategies", "graphs"},
    {"methods", "checkpoint"},
    {"config"},
    {"runs"},
    {"run", "launching"},
    {"animation", "export", "state"},
    {"evidence", "engine"},
    {"training"},
    {"report"},
    {"jobs"},
    {"comparison"},
    {"parser"},
    {"flags"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
# the table of contents names everything; report reads records, and never the engine
FORBIDDEN = {("report", "training"), ("report", "state")}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(source: str) -> set[str]:
    parts: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "sngan":
            parts |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sngan."):
            parts.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            parts |= {a.name.split(".")[1] for a in node.names if a.name.startswith("sngan.")}
    return parts


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_every_file_has_a_level():
    assert {part_of(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = part_of(path)
    for other in imported_parts(path.read_text()):
        assert other in LEVEL, f"{own} imports sngan.{other}, which has no level"
        assert (own, other) not in FORBIDDEN
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {other}"


def test_the_reader_of_imports_sees_all_forms():
    source = "import sngan.a\nfrom sngan import b, c as d\nfrom sngan.e.f import g\n"
    assert imported_parts(source) == {"a", "b", "c", "e"}


HEAVY = ["torch", "numpy", "matplotlib", "lightning_fabric", "sklearn", "jinja2", "rich", "PIL"]


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import sngan", HEAVY),
        ("from sngan.cli import main; main(['--help'])", HEAVY),
        ("import sngan; sngan.SpectralNorm", [m for m in HEAVY if m not in ("torch", "numpy")]),
        (
            "import sngan; sngan.Config; sngan.train",
            ["matplotlib", "lightning_fabric", "sklearn", "jinja2", "rich", "pyarrow"],
        ),
    ],
)
def test_heavy_imports_are_lazy(statement, heavy):
    code = f"{statement}\nimport sys\nprint([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_table_of_contents_is_complete():
    import sngan

    for name in sngan.__all__:
        assert getattr(sngan, name) is not None
    assert set(sngan.__all__) <= set(dir(sngan))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sngan.nothing  # noqa: B018
