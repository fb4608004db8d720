"""Identity of a training, by which a checkpoint is recognised (`xpfit.nn.checkpoint`)."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from .._version import __version__
from ..data.spectra import Spectra
from .recipe import Recipe


def training_fingerprint(
    spectra: Spectra, label_names, recipe: Recipe, rng: np.random.Generator
) -> str:
    """SHA-256 of everything that decides how a training goes: data, labels, recipe, seed, version.

    Parameters
    ----------
    spectra : Spectra
    label_names : sequence of str
    recipe : Recipe
    rng : numpy.random.Generator
        As the training starts with it.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    settings = [__version__, list(label_names), recipe.to_dict(), rng.bit_generator.state]
    digest.update(json.dumps(settings, sort_keys=True, default=repr).encode())
    arrays = [spectra.source_id, spectra.flux, spectra.flux_err, spectra.wavelength]
    arrays += [spectra.parallax, spectra.parallax_err, spectra.extinction, spectra.extinction_err]
    arrays += [
        values[name] for values in (spectra.labels, spectra.label_err) for name in label_names
    ]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
