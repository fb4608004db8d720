import h5py
import numpy as np
import pytest

from xpfit import InputError
from xpfit.nn import read_checkpoint, write_checkpoint


def test_what_was_written_is_read(tmp_path):
    write_checkpoint(tmp_path / "c", {"a/b": np.arange(3.0)}, {"fingerprint": "x", "loss": 0.1})
    arrays, facts = read_checkpoint(tmp_path / "c", "x")
    np.testing.assert_array_equal(arrays["a/b"], np.arange(3.0))
    assert facts == {"fingerprint": "x", "loss": 0.1}
    with pytest.raises(InputError, match="of a training with other stars"):
        read_checkpoint(tmp_path / "c", "y")


def test_a_checkpoint_of_an_older_version_is_refused(tmp_path):
    with h5py.File(tmp_path / "c", "w") as file:  # as companions had them
        file["parameters"] = np.zeros(3)
    with pytest.raises(InputError, match="not a checkpoint of this version"):
        read_checkpoint(tmp_path / "c", "")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 broken"])
def test_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(InputError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "c", "")


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="without --resume"):
        read_checkpoint(tmp_path / "c", "")
