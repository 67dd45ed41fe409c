"""Batches for training, from samples in memory or streamed."""
