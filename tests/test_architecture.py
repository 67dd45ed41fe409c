"""Pages about the code name what exists: packages, files, folders and tests."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sngan"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/design.md")

LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[\w-]*)?\)")
QUOTED_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)(?:::(\w+))?`")
# a run folder has these files, and the repository does not
IN_A_RUN = (".sngan/",)


def packages() -> set[str]:
    """Each package and module of sngan, except the files that Python itself asks for."""
    names = {entry.stem for entry in SOURCE.iterdir() if entry.is_dir() or entry.suffix == ".py"}
    return {name for name in names if not name.startswith("__")}


def named_paths(page: Path) -> Iterator[tuple[Path | None, str]]:
    """The paths that a page links or names in backticks, with the name of a test or none.

    A path in backticks is below the repository or ``src/sngan``; ``None`` if it is in neither.
    """
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(text):
        if "://" not in target:
            path = page.parent / target
            yield path if path.exists() else None, target
    for name, test in QUOTED_PATH.findall(text):
        if not name.startswith(IN_A_RUN):
            places = (ROOT / name, SOURCE / name)
            path = next((place for place in places if place.exists()), None)
            if path is not None and test and f"def {test}(" not in path.read_text(encoding="utf-8"):
                path = None
            yield path, f"{name}::{test}" if test else name


def test_the_table_has_one_row_for_each_package():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(packages())


def test_the_picture_has_a_box_for_each_package():
    picture = PAGE.split("```text")[1].split("```")[0]
    assert packages() <= set(re.findall(r"\w+", picture))


@pytest.mark.parametrize("page", PAGES)
def test_the_paths_that_a_page_names_exist(page):
    paths = list(named_paths(ROOT / page))
    assert paths
    assert [name for path, name in paths if path is None] == []


def test_a_path_that_does_not_exist_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[a](page.md) [b](no.md) [c](https://x.org/y) `engine/no.py` `a/b c` `engine/`")
    assert [name for path, name in named_paths(page) if path is None] == ["no.md", "engine/no.py"]
    page.write_text("`tests/test_architecture.py::test_nothing` `.sngan/files.jsonl`")
    expected = ["tests/test_architecture.py::test_nothing"]
    assert [name for path, name in named_paths(page) if path is None] == expected
