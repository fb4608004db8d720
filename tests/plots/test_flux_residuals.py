import numpy as np
from helpers import simulate

from xpfit.cli import main
from xpfit.plots.flux_residuals import flux_residual_figure, flux_residual_map_figure
from xpfit.validate.flux_residuals import flux_residuals


def test_figures_have_a_panel_per_channel_and_label(model):
    _, spectra = simulate(model, 100, np.random.default_rng(1), relative_error=0.02)
    residuals = flux_residuals(model, spectra, model.fit(spectra, progress=False))
    figure = flux_residual_figure(residuals)
    assert len(figure.axes) == len(residuals.names) * 4
    assert len(flux_residual_map_figure(residuals).axes) == len(residuals.names) + 1


def test_command_draws_both(sample_path, tmp_path):
    from astropy.table import Table

    few = tmp_path / "few.fits"
    Table.read(sample_path)[:80].write(few)
    assert main(["plot", "residuals", str(few), "--output-dir", str(tmp_path / "p")]) == 0
    names = {path.name for path in (tmp_path / "p").iterdir()}
    assert names == {"flux_residuals.png", "flux_residual_maps.png"}
