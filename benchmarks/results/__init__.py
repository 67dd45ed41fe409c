"""Results with seeds: one program per table, records as small JSON files, and one page.

    python -m benchmarks.results.claim [--only TEXT] [--seeds N] [--budget-minutes M]
    python -m benchmarks.results.page

A run's numbers are one record, ``records/NAME/KEY-HASH.json``; the hash is that of all settings of
the run. A record that exists is not measured again, so a program goes on where it was stopped.

A **table module** is a module of this package with these names:

- ``NAME: str``, the folder of its records and a word of the page's template;
- ``cells(seeds: Sequence[int]) -> list[Cell]``, the runs in the order in which they are wanted;
- ``run(cell: Cell) -> dict[str, Any]``, which trains, measures and returns plain numbers; it raises
  :class:`~benchmarks.results.records.Skipped` with a reason for a cell that cannot run yet;
- ``markdown(records: Sequence[Record]) -> str``, the table as Markdown, for any subset of records;
- ``draw(records: Sequence[Record], folder: Path) -> None``, only if the table has pictures.

Its program is ``if __name__ == "__main__": main(NAME, cells, run)`` with ``main`` of
:mod:`benchmarks.results.records`. The page has the table at the line ``{{NAME}}`` of
``page.md``, the template that people write in.
"""
