"""Norms of weights that are tracked from one optimizer step to the next."""
