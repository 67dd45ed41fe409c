"""Tensors that several processes share: their files."""
