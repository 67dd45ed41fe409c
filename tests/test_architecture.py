"""docs/architecture.md names the packages that exist, and no others."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def packages() -> set[str]:
    """Each package and module of sngan, except the files that Python itself asks for."""
    entries = (ROOT / "src" / "sngan").iterdir()
    names = {entry.stem for entry in entries if entry.is_dir() or entry.suffix == ".py"}
    return {name for name in names if not name.startswith("__")}


def test_the_table_has_one_row_for_each_package():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(packages())


def test_the_picture_has_a_box_for_each_package():
    picture = PAGE.split("```mermaid")[1].split("```")[0]
    assert packages() <= set(re.findall(r"\w+", picture))


def test_the_files_that_the_page_names_exist():
    for name in re.findall(r"`((?:\w+/)+\w+\.py)`", PAGE):
        assert (ROOT / name).exists() or (ROOT / "src" / "sngan" / name).exists(), name
