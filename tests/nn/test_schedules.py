import pytest

from xpfit.nn import CosineSchedule, PlateauSchedule, StepSchedule, WarmRestartSchedule


def test_step_schedule_of_zgr23_falls_tenfold_at_32_64_96():
    rate = StepSchedule(1e-3, (32, 64, 96), 0.1)
    expected = {0: 1e-3, 31: 1e-3, 32: 1e-4, 63: 1e-4, 64: 1e-5, 96: 1e-6, 127: 1e-6}
    for epoch, value in expected.items():
        assert rate(epoch) == pytest.approx(value)


def test_cosine_schedule_falls_from_initial_to_final():
    rate = CosineSchedule(1.0, 10, 0.1)
    assert rate(0) == pytest.approx(1.0)
    assert rate(5) == pytest.approx(0.55)
    assert rate(10) == pytest.approx(0.1)
    assert rate(99) == pytest.approx(0.1)
    values = [rate(e) for e in range(11)]
    assert values == sorted(values, reverse=True)


def test_warm_restarts_begin_anew_and_take_longer_each_time():
    rate = WarmRestartSchedule(1.0, first=10, factor=2.0, final=0.2)
    for start, length in ((0, 10), (10, 20), (30, 40)):
        assert rate(start) == pytest.approx(1.0)
        assert rate(start + length / 2) == pytest.approx(0.6)
        assert rate(start + length - 1e-9) == pytest.approx(0.2)


def test_plateau_schedule_falls_when_the_loss_does_not():
    schedule = PlateauSchedule(1e-3, patience=2)
    losses = [5.0, 4.0, 4.0, 4.5, 3.0, 3.0, 3.0, 9.0, 3.5]
    lowest = []
    for loss in losses:
        schedule.observe(loss)
        lowest.append(schedule.n_stale == 0)
    assert lowest == [True, True, False, False, True, False, False, False, False]
    assert (
        schedule(7.0) == schedule.rate == pytest.approx(1e-6)
    )  # after two stale epochs, then two and four
    assert (schedule.best, schedule.n_stale) == (3.0, 4)
