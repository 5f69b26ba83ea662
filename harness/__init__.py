"""Harness for referring remote sensing image segmentation: data, training, evaluation, statistics, report."""

__version__ = "0.1.0"
