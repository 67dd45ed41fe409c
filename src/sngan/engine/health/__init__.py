"""Health of a run while it trains: the figures that are recorded, and lines in the log."""
