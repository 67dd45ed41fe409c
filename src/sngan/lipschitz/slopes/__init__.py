"""Bounds by slopes: a network as linear stages and contractions, multipliers, and their proof."""
