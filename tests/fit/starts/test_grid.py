import numpy as np
import pytest
from situations import situation

from xpfit.fit.data import fit_data
from xpfit.fit.starts import GridStarts
from xpfit.fit.starts.grid import EXTINCTIONS, N_TYPES


@pytest.fixture(scope="module")
def grid(model):
    return GridStarts(model)


def test_grid_is_that_of_the_paper(grid):
    assert N_TYPES == 512 and len(EXTINCTIONS) == 61
    assert EXTINCTIONS[0] == pytest.approx(0.01) and EXTINCTIONS[-1] == pytest.approx(10.0)
    np.testing.assert_allclose(EXTINCTIONS[1:] / EXTINCTIONS[:-1], 10**0.05)
    assert len(grid.flux) == 512 * 61


@pytest.mark.parametrize("kind", ["shapes", "full whiteners"])
def test_first_start_is_the_best_cell_of_an_exhaustive_search(grid, kind, rng):
    model, spectra, _ = situation(kind, 1, rng)
    flux, whitener = spectra.flux[0], spectra.whitener.rows[0]
    matrix = np.diag(whitener[0]) if len(whitener) == 1 else whitener
    precision = matrix.T @ matrix
    cells = grid.flux.reshape(512, 61, -1)
    best = (np.inf, None)
    for types, ln_p, row in zip(grid.types, model.prior.ln_p(grid.types), cells, strict=True):
        for extinction, cell in zip(EXTINCTIONS, row, strict=True):
            amplitude = max((cell @ precision @ flux) / (cell @ precision @ cell), 0.0)
            residual = amplitude * cell - flux
            loss = residual @ precision @ residual - 2 * ln_p
            if loss < best[0]:
                best = (loss, [*types, np.log(extinction), 0.5 * np.log(amplitude)])
    start = grid.find(fit_data(model, spectra), 1)[0, 0]
    np.testing.assert_allclose(start, best[1], rtol=1e-10)


def test_memory_for_the_grid_is_bounded_without_changing_it(grid, rng, monkeypatch):
    model, spectra, _ = situation("full whiteners", 7, rng)
    whole = grid.find(fit_data(model, spectra), 3)
    monkeypatch.setattr("xpfit.fit.starts.grid.GRID_BYTES", 3 * grid.flux.size * 8)
    np.testing.assert_allclose(grid.find(fit_data(model, spectra), 3), whole, rtol=1e-10)
