"""Batches for training: shuffled samples in memory, or chunks streamed from disk."""
