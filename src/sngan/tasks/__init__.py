"""Tasks: the work of each command as functions that Python can call."""
