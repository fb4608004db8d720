import pickle

import numpy as np
import pytest

from xpfit.data.flags import UNRELIABLE, FitFlag, InputFlag, QualityFlag, has_flag


@pytest.mark.parametrize("kind", [InputFlag, QualityFlag, FitFlag])
def test_every_flag_is_one_bit_with_a_description(kind):
    assert all(int(flag).bit_count() == 1 and flag.text for flag in kind)
    assert len({flag.text for flag in kind}) == len(kind)


def test_flags_combine_as_bits():
    assert (
        int(UNRELIABLE) & 7 == 7 and FitFlag.NOT_CONVERGED in UNRELIABLE and UNRELIABLE.text == ""
    )
    assert int(~FitFlag.BAD_INPUT & 7) == 3
    assert pickle.loads(pickle.dumps(FitFlag.SECOND_MODE)) is FitFlag.SECOND_MODE
    assert FitFlag(8).text == "a photometric band was missing; the rest was fitted"


def test_columns_with_fewer_bits_than_there_are_flags_are_read():
    old = np.array([0, 1, 512], dtype=np.int16)
    np.testing.assert_array_equal(has_flag(old, UNRELIABLE), [False, True, False])
