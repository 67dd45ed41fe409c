"""Meaning of each metric: one line of plain words, for tables and pages."""

MEANINGS = {
    "frechet": "distance between Gaussian fits of the two sets of features",
    "frechet_infinity": "the same distance, extrapolated to infinitely many samples",
    "kernel": "squared distance between the two sets of features (MMD with a cubic kernel)",
    "kernel_error": "standard error of kernel",
    "w1": "mean way that features must move to turn one set into the other",
    "w1_lower": "proved lower end of w1, by a function with slopes of at most 1",
    "w1_upper": "proved upper end of w1, by a plan that moves all samples",
    "w1_held_out": "what such a function, fitted to half of the samples, finds in the other half; "
    "near 0: no difference that lasts",
    "critic_bound": "way that the run's critic proves, in pixels",
    "critic_share": "share of its slope that the critic uses; 1: the best critic of these samples",
    "sliced_w1": "the same way, averaged over one-dimensional views",
    "inception_score": "whether each sample has a clear class, and all classes are equally common",
    "inception_score_deviation": "its standard deviation over 10 parts",
    "precision": "share of generated samples that lie among real ones: do they look real",
    "recall": "share of real samples that lie among generated ones: is all of the data reached",
    "density": "how densely real samples lie around generated ones",
    "coverage": "share of real samples with a generated one near: is all of the data reached",
    "modes": "modes of the data that samples reach",
    "modes_of": "modes that the data has",
    "high_quality": "share of samples within three standard deviations of a mode",
    "reverse_kl": "how unevenly samples are spread over the modes",
    "smallest_share": "share of samples in the rarest mode",
    "classes": "classes of the data that samples reach, as a classifier sees them",
    "classes_of": "classes that the data has",
    "class_kl": "how unevenly samples are spread over the classes",
    "mind": "mean squared way between one-dimensional views of the features (MIND)",
    "fld": "how unlikely held-out samples are by the generated ones, and copies count against it",
    "authpct": "percentage of samples that are no copies of training samples",
    "memorized_distance": "distance to the nearest training sample, over that between real ones; "
    "near 0: copies of the data",
}
"""A line of words for each name in ``Result.values``."""
