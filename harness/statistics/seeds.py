"""Uncertainty over images and over seeds, put together.

Images are resampled by the bootstrap. A model has too few seeds for that: a bootstrap over three of them covers 86%
where 95% is asked for. Their variance is estimated as that of a mean of k values instead, added to the images', and the
few degrees of freedom taken into account by Welch and Satterthwaite (Satterthwaite 1946, Biometrics Bulletin 2).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
THESE_MODELS = "these trained models"
THIS_WAY = "models trained this way"


@dataclass(frozen=True)
class Spread:
    """The standard error of each metric, and with how many degrees of freedom it is known: [metrics]."""

    standard_error: Floats
    degrees: Floats

    def interval(self, values: Floats, confidence: float) -> Floats:
        """The symmetric t interval around estimated values: [2, metrics]."""
        half = self.standard_error * special.stdtrit(self.degrees, (1 + confidence) / 2)
        return np.stack([values - half, values + half])

    def p_values(self, values: Floats) -> Floats:
        """Two-sided p-values of values that are 0 in truth; 1 for a value of 0 without spread, 0 for another."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(values) / self.standard_error
        return 2 * special.stdtr(self.degrees, -np.where(np.isnan(t), 0.0, t))

    def detectable(self, alpha: float, power: float) -> Floats:
        """The smallest true difference found at level `alpha`, two-sided, with this power."""
        level, reach = (special.stdtrit(self.degrees, share) for share in (1 - alpha / 2, power))
        return (level + reach) * self.standard_error


def images_alone(resampled: Floats, degrees: Floats) -> Spread:
    """The spread over images, the trained networks taken as fixed.

    Args:
        resampled: bootstrap values [n_resamples, metrics].
        degrees: of freedom with which each variance is known.
    """
    error = resampled.std(axis=0, ddof=1) if len(resampled) > 1 else np.zeros(resampled.shape[1])
    return Spread(error, degrees)


def images_and_seeds(images: Spread, *per_seed: Floats) -> Spread:
    """The spread over images and over networks trained anew.

    Args:
        images: of the value, or the difference, of means over seeds.
        per_seed: each model's metrics by seed [seeds, metrics], two seeds at least.
    """
    variances = [values.var(axis=0, ddof=1) / len(values) for values in per_seed]
    squares = [variance**2 / (len(values) - 1) for variance, values in zip(variances, per_seed, strict=True)]
    # The models' sum first: swapping them then changes no bit.
    total = images.standard_error**2 + np.sum(variances, axis=0)
    weighted = images.standard_error**4 / images.degrees + np.sum(squares, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        combined = total**2 / weighted
    return Spread(np.sqrt(total), np.where(np.isfinite(combined), combined, images.degrees))
