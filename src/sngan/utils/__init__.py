"""Helpers that every package may use: checks, files, text, tables, plotting, signals, progress."""
