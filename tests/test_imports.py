"""Imports point one way, and nothing heavy is imported before it is needed."""

import ast
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

PACKAGE = Path(__file__).parents[1] / "src" / "sngan"

# A package may import from the rows above its own, and from the left in its own row.
ORDER = [
    ["utils"],
    ["distributed"],
    ["augment", "losses", "penalties"],
    ["spectral", "transport", "data", "models", "lipschitz", "metrics"],
    ["methods"],
    ["config"],
    ["health"],
    ["runs"],
    ["callbacks"],
    ["engine"],
    ["report"],
    ["tasks"],
    ["cli"],
    ["__main__"],
]
PLACE = {name: place for place, name in enumerate(name for row in ORDER for name in row)}
# Pages are made from saved records: they must not need the training engine.
FORBIDDEN = {("report", "engine")}

FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(module: str) -> str:
    return module.split(".")[1]


MODULES = {module_of(path): path for path in FILES}


def imported_modules(source: str, known: Collection[str]) -> set[str]:
    """The modules of sngan that a file imports anywhere in it, also under TYPE_CHECKING."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sngan":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("sngan.")}
    return found - {"sngan"}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    return {module: imported_modules(path.read_text(), MODULES) for module, path in MODULES.items()}


def circles(imports: Mapping[str, set[str]]) -> list[set[str]]:
    """Sets of modules that import one another, found by Tarjan's algorithm in SciPy."""
    names = sorted(imports)
    number = {name: index for index, name in enumerate(names)}
    edges = [(number[a], number[b]) for a in names for b in imports[a] if b in number]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    graph = coo_array(([1] * len(edges), (rows, columns)), shape=(len(names), len(names)))
    _, part = connected_components(graph, directed=True, connection="strong")
    members: dict[int, set[str]] = {}
    for name in names:
        members.setdefault(int(part[number[name]]), set()).add(name)
    return [group for group in members.values() if len(group) > 1]


def test_every_package_has_a_place():
    assert {package_of(module) for module in MODULES} == set(PLACE)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(imports, module):
    own = package_of(module)
    for other in map(package_of, imports[module]):
        assert (own, other) not in FORBIDDEN
        assert other == own or PLACE[other] < PLACE[own], f"{module} imports {other}"


def test_no_file_imports_itself_by_way_of_others(imports):
    assert circles(imports) == []


def test_the_reader_of_imports_sees_all_forms_and_every_circle():
    known = {f"sngan.{name}" for name in "abce"} | {"sngan.e.f"}
    source = (
        "import sngan.a\nfrom sngan import b, c as d\nfrom sngan.e.f import g\n"
        "if TYPE_CHECKING:\n    from sngan.e import f\n"
    )
    found = imported_modules(source, known)
    assert found == {"sngan.a", "sngan.b", "sngan.c", "sngan.e.f"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


HEAVY = [
    "torch", "numpy", "matplotlib", "lightning_fabric", "sklearn", "jinja2", "rich", "PIL",
    "pyarrow", "ot", "scipy.optimize",
]  # fmt: skip
# {statement: heavy modules that it may import}; each statement runs after those before it
STATEMENTS = {
    "import sngan": [],
    "from sngan.cli import main; main(['--help'])": [],
    "import sngan.transport; sngan.transport.wasserstein": ["torch", "numpy"],
    "sngan.SpectralNorm": ["torch", "numpy"],
    "sngan.Config; sngan.train": ["torch", "numpy", "PIL"],
}


@pytest.fixture(scope="module")
def imported():
    """The heavy modules that one process has imported after each statement."""
    shown = f"print([m for m in {HEAVY} if m in sys.modules])"
    code = "\n".join(["import sys", *(f"{line}\n{shown}" for line in STATEMENTS)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return dict(zip(STATEMENTS, map(ast.literal_eval, lines), strict=True))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_heavy_imports_are_lazy(imported, statement):
    assert set(imported[statement]) <= set(STATEMENTS[statement])


def test_the_table_of_contents_is_complete():
    import sngan

    for name in sngan.__all__:
        assert getattr(sngan, name) is not None
    assert set(sngan.__all__) <= set(dir(sngan))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sngan.nothing  # noqa: B018
