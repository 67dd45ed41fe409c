"""A run's folder on disk: its files, which of them are sngan's, and its lock."""
