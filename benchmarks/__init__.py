"""Benchmarks, one a module: `python -m benchmarks.NAME` in the root of the repository runs it.

Timings are ratios within one run. Results go to `benchmarks/results/NAME.json`.
"""
