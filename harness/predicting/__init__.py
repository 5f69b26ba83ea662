"""Prediction: an image and a sentence in, the mask of the object meant out."""

from harness.predicting.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor"]
