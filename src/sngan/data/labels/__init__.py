"""Labels: numbered classes, files of labels, and the splits and classes that folders mean."""
