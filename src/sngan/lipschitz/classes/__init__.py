"""Classifiers: the radii within which no input changes the predicted class."""
