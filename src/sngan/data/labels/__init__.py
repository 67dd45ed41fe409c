"""Labels: numbered classes, files of labels, and the splits and classes that folders stand for."""
