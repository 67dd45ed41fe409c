"""Sources: one file for each kind of SOURCE, and readers of the formats that they use."""
