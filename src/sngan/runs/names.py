"""The names of the files of a run, and the mark of its pages."""

CONFIG, GENERATOR, CHECKPOINTS = "config.yaml", "generator.safetensors", "checkpoints"
SAMPLES, LOG, SKIPPED, REPORT = "samples", "train.log", "skipped.txt", "report.html"
LIPSCHITZ, MEASURED = "lipschitz", "measured.json"

PAGE_MARK = " · sngan</title>".encode()
"""Bytes near the start of every HTML page that sngan writes, from the first version on."""
