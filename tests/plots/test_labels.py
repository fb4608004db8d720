import numpy as np
import pytest

from xpfit import InputError
from xpfit.cli import main
from xpfit.plots.labels import label_figure


def test_every_star_with_labels_is_counted(sample):
    figure = label_figure(sample)
    left, right = figure.axes[:2]
    known = np.isfinite([sample.labels[n] for n in ("teff", "logg", "feh")]).all(axis=0)
    counts = 10.0 ** left.collections[0].get_array().filled(-np.inf)
    assert counts.sum() == pytest.approx(known.sum())
    assert figure.get_suptitle() == f"{known.sum()} stars with labels"
    low, high = left.get_xlim()
    assert low > high  # hot stars are on the left
    mean = right.collections[0].get_array()
    feh = sample.labels["feh"][known]
    assert feh.min() <= mean.min() and mean.max() <= feh.max()


def test_spectra_without_labels_are_refused(sample):
    with pytest.raises(InputError, match="--labels"):
        label_figure(sample[:20].replace(labels={}, label_err={}))


def test_from_the_command_line(sample_path, tmp_path):
    assert main(["plot", "labels", str(sample_path), "--output-dir", str(tmp_path)]) == 0
    assert (tmp_path / "labels.png").exists()
