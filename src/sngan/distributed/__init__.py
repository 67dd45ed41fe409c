"""Distributed training: collectives, sharded tensors and their files, process groups."""
