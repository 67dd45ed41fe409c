"""Sharing of a run: model files that other programs open, a model card, a page, and the hub."""
