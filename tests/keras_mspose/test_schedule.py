"""The learning rate rises, then decays as the recipe says."""

import pytest

from keras_mspose.config import from_dict
from keras_mspose.schedule import WarmupDecay


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("constant", {0: 0.1, 9: 1.0, 10: 1.0, 99: 1.0}),
        ("steps", {0: 0.1, 9: 1.0, 39: 1.0, 40: 0.5, 79: 0.5, 80: 0.25}),
        ("cosine", {0: 0.1, 10: 1.0, 55: 0.505, 100: 0.01}),
    ],
)
def test_the_learning_rate_rises_and_decays(decay: str, expected: dict[int, float]) -> None:
    settings = from_dict(
        {"training": {"epochs": 10, "learning_rate": 1.0, "warmup_steps": 10, "decay": decay, "decay_epochs": [4, 8]}},
        "t",
    ).training
    rate = WarmupDecay.of(settings, steps=10)
    assert {step: float(rate(step)) for step in expected} == pytest.approx(expected, abs=1e-5)
