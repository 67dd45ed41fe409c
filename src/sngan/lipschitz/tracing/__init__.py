"""Tracing: a float64 copy of a network, run once and recorded as a graph of operations."""
