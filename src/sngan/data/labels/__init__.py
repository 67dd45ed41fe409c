"""Labels, classes and splits of samples."""
