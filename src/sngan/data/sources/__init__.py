"""Sources: one file for each kind of SOURCE, and the files that read what it is stored in."""
