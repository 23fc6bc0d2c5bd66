r"""Expected changes of a spectrum by an anomaly, beside the variation of normal clips: float64 NumPy.

Whitened distances depend in each direction only on how little normal clips vary in it. Most such directions are
differences between neighbouring bands, in which no machine fails: a fault raises or lowers bands that lie together. So
take the difference :math:`r` between a clip and a normal one as Gaussian, of covariance :math:`C` if the clip is normal
and :math:`C + S` if it is not, with :math:`S_{ij} = l^2 \exp(-(i - j)^2 / 2 w^2)` between the bands :math:`i` and
:math:`j`. The logarithm of the likelihood ratio grows with

.. math:: r^T \left(C^{-1} - (C + S)^{-1}\right) r,

the estimator-correlator of detection theory, which is a squared Euclidean distance after :math:`r` was multiplied by a
root of that matrix. For large :math:`l` and small :math:`w` it is the whitened distance.

References
----------
.. [1] S. M. Kay, "Fundamentals of Statistical Signal Processing, Volume II: Detection Theory", Prentice Hall, 1998,
   section 5.3.
"""

from functools import lru_cache

import numpy as np

from soundness.aliases import Array

__all__ = ["expected_changes", "likelihood_ratio_factor", "narrow_changes"]

_NEGLIGIBLE = 1e-9  # times the largest variance of a direction


@lru_cache(maxsize=8)
def expected_changes(n_bands: int, *, width: float, level: float) -> Array:
    """Factor of the covariance of expected changes, which is the factor times its transpose.

    Parameters
    ----------
    n_bands
        Number of bands, in the order of the spectrum.
    width
        Deviation of the Gaussian between two bands, in bands, above 0.
    level
        Deviation of the change of a band, in the unit of the vectors.

    Returns
    -------
    Array
        Shape ``(n_bands, direction)``; not to be written to. Smooth changes have fewer directions than bands.
    """
    apart = np.subtract.outer(np.arange(n_bands), np.arange(n_bands))
    values, directions = np.linalg.eigh(np.exp(-0.5 * np.square(apart / width)))
    counts = values > _NEGLIGIBLE * values[-1]
    factor: Array = level * directions[:, counts] * np.sqrt(values[counts])
    factor.setflags(write=False)
    return factor


@lru_cache(maxsize=8)
def narrow_changes(n_bands: int, *, width: float) -> Array:
    """Changes of one band each, which its neighbours follow, as rows.

    Parameters
    ----------
    n_bands
        Number of bands, in the order of the spectrum.
    width
        Deviation of the Gaussian by which neighbours follow, in bands; 0 for none.

    Returns
    -------
    Array
        Shape ``(n_bands, n_bands)``, 1 on the diagonal; not to be written to.
    """
    apart = np.subtract.outer(np.arange(n_bands), np.arange(n_bands))
    changes: Array = np.eye(n_bands) if width == 0.0 else np.exp(-0.5 * np.square(apart / width))
    changes.setflags(write=False)
    return changes


def likelihood_ratio_factor(inverse_root: Array, changes: Array) -> Array:
    r"""Matrix by which differences are multiplied, so that their squared length grows with the likelihood ratio.

    With :math:`R R^T = C^{-1}`, :math:`L L^T = S` and :math:`A = R^T L`, it is :math:`B = R A Q^{-T}` with :math:`Q Q^T
    = I + A^T A`, for Woodbury's identity gives :math:`B B^T = C^{-1} - (C + S)^{-1}`.

    Parameters
    ----------
    inverse_root
        Any root of the inverse covariance of normal clips, shape ``(band, band)``.
    changes
        See `expected_changes`.

    Returns
    -------
    Array
        Shape ``(band, direction)``.
    """
    seen = inverse_root.T @ changes
    root = np.linalg.cholesky(np.eye(seen.shape[1]) + seen.T @ seen)
    factor: Array = inverse_root @ np.linalg.solve(root, seen.T).T
    return factor
