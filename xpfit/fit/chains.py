"""Chains of emcee in files that are whole at any time, in the layout of emcee's HDF backend."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import emcee
import numpy as np
from emcee.backends import Backend

from ..data import Spectra
from ..data.hdf5 import new_hdf5, open_hdf5, require_arrays
from ..errors import InputError
from ..files import atomic_output
from ..model import XPModel

GROUP, POSTERIOR = "mcmc", "posterior"
"""Group of the file, as emcee names it; its attribute with the digest of what is sampled."""

_RANDOM_STATE = "random_state_"


class ChainFile(Backend):  # type: ignore[misc]
    """A chain in memory, which `save` writes to a file in place of an earlier one.

    Parameters
    ----------
    path : Path
        If it exists, the chain goes on from there. emcee reads it as ``HDFBackend(path)``.
    posterior : str
        Digest of the posterior (`posterior_digest`).

    Raises
    ------
    InputError
        If the file is damaged, or of another posterior.
    """

    def __init__(self, path: Path, posterior: str):
        super().__init__()
        self.path, self.posterior = path, posterior
        if path.exists():
            self._read()

    def _read(self) -> None:
        """Take the chain from the file."""
        try:
            with open_hdf5(self.path) as file:
                group = file[GROUP]
                facts = dict(group.attrs)
                arrays = {name: group[name][()] for name in ("chain", "log_prob", "accepted")}
            self._take(facts, arrays)
        except (OSError, LookupError, ValueError, TypeError, OverflowError) as error:
            raise InputError(
                f"{self.path}: not a chain, or a damaged one ({error}); remove it to sample anew"
            ) from error
        if str(facts.get(POSTERIOR)) != self.posterior:
            raise InputError(
                f"{self.path}: the chain of another model, spectrum or seed; give the same ones, "
                "or remove it to sample anew"
            )

    def _take(self, facts: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take the chain from the content of a file; ValueError if it is none."""
        n, n_walkers, n_dim = (int(facts[name]) for name in ("iteration", "nwalkers", "ndim"))
        shapes = {"chain": (n, n_walkers, n_dim), "log_prob": (n, n_walkers)}
        # There may be room for more steps.
        require_arrays({name: (arrays[name][:n], shape) for name, shape in shapes.items()})
        require_arrays({"accepted": (arrays["accepted"], (n_walkers,))})
        if len(arrays["log_prob"]) != len(arrays["chain"]):
            raise ValueError("log_prob and chain have different lengths")
        state = tuple(facts[name] for name in sorted(facts) if name.startswith(_RANDOM_STATE))
        np.random.RandomState().set_state(state)
        self.reset(n_walkers, n_dim)
        for name, values in arrays.items():
            setattr(self, name, values)
        self.iteration, self.random_state = n, state

    def save(self) -> None:
        """Write the chain, whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        with atomic_output(self.path, overwrite=True) as part, new_hdf5(part) as file:
            group = file.create_group(GROUP)
            group.attrs.update(
                version=emcee.__version__, nwalkers=self.nwalkers, ndim=self.ndim,
                has_blobs=False, iteration=self.iteration, **{POSTERIOR: self.posterior},
            )  # fmt: skip
            for i, value in enumerate(self.random_state):
                group.attrs[f"{_RANDOM_STATE}{i}"] = value
            for name in ("chain", "log_prob", "accepted"):
                group[name] = getattr(self, name)


def posterior_digest(model: XPModel, spectra: Spectra, seed: int, *, model_covariance: bool) -> str:
    """SHA-256 of all that the chain of one star depends on.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    seed : int
    model_covariance : bool

    Returns
    -------
    str
    """
    sha = hashlib.sha256(f"{model.fingerprint} {seed} {model_covariance}".encode())
    arrays = (spectra.source_id, spectra.flux, spectra.flux_err, spectra.parallax)
    for array in (*arrays, spectra.parallax_err):
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
