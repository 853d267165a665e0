"""Shared by the tests of the experiments."""

import pytest

from trunkline.experiments import digits


@pytest.fixture(scope="session")
def digits_data():
    """The digits, split."""
    return digits.load_digits_data()


@pytest.fixture(scope="session")
def small_study(digits_data):
    """A backbone and four variants, trained for a second or two."""
    return digits.run_study(
        digits_data,
        tasks=digits.TASKS[1:3],
        depths=(0, 8),
        seeds=(0,),
        backbone_training=digits.Training(epochs=3, rate=0.1),
        tuning=digits.Training(epochs=2, rate=0.05),
    )
