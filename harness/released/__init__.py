"""Weights that were not trained here, under our metrics: `harness evaluate --weights`."""

from harness.released.evaluate import Request, evaluate_weights

__all__ = ["Request", "evaluate_weights"]
