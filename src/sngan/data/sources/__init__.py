"""Kinds of SOURCE, one file each, and the files that they are stored in."""
