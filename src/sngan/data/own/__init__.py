"""Data of one's own: tensors, arrays, map-style data sets and iterables of batches."""
