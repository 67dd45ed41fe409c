"""Page of all results: ``docs/results.md`` from the records and a template that people write in.

The template ``page.md`` has the text of the page. The line ``{{NAME}}`` stands for the table of
the module with this name, or for the command that makes it if it has no records yet.

    python -m benchmarks.results.page
"""

import argparse
import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import benchmarks.results
from benchmarks.results.records import FOLDER, load
from sngan.utils.files import write_bytes

TEMPLATE = Path(__file__).with_name("page.md")
TARGET = Path(__file__).parents[2] / "docs" / "results.md"
_PLACE = re.compile(r"^\{\{([\w-]+)\}\}$", re.MULTILINE)


def table_modules() -> dict[str, Any]:
    """Import the modules of this package that have a table, by the names of their tables."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.results.__path__)]
    modules = [importlib.import_module(f"{benchmarks.results.__name__}.{name}") for name in names]
    return {
        module.NAME: module
        for module in modules
        if hasattr(module, "NAME") and hasattr(module, "markdown")
    }


def write(target: Path = TARGET, *, records: Path = FOLDER, template: Path = TEMPLATE) -> None:
    """Write the page, and the pictures into the folder beside it that has the page's name.

    Raises
    ------
    ValueError
        If the template has a place for an unknown table.
    """
    modules = table_modules()
    pictures = target.with_suffix("")

    def filled(match: re.Match[str]) -> str:
        name = match[1]
        if name not in modules:
            known = ", ".join(sorted(modules))
            raise ValueError(f"page.md: expected one of the tables {known}, got {name}")
        module, found = modules[name], load(name, records)
        if not found:
            return f"*Not measured yet; `python -m {module.__name__}` does it.*"
        if hasattr(module, "draw"):
            pictures.mkdir(parents=True, exist_ok=True)
            module.draw(found, pictures)
        return module.markdown(found)

    text = _PLACE.sub(filled, template.read_text())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, text.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=TARGET, help="the page")
    target = parser.parse_args().out
    write(target)
    print(f"written: {target}")


if __name__ == "__main__":
    main()
