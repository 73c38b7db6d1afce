"""Weights of another network: what fits is kept, what depends on the keypoints is made anew, and both are printed."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mspose import saved_model
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.skeleton import LSP14, MPII16
from keras_mspose.start_from import take_weights

TWO = ModelConfig(stacks=2, channels=4, input_size=(32, 32), depth=2, scales=(1, 2))


@pytest.fixture(scope="module")
def mpii(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model]:
    """A network for MPII's keypoints, none of its weights as initialised."""
    model, rng = build_model(TWO, 16), np.random.default_rng(0)
    model.set_weights([rng.random(w.shape, np.float32) for w in model.get_weights()])
    path = tmp_path_factory.mktemp("mpii") / "mpii.keras"
    saved_model.save(model, path, saved_model.Facts(MPII16, "pckh", RunConfig(model=TWO)))
    return path, model


def _kept(model: keras.Model, other: keras.Model) -> set[str]:
    return {
        layer.name
        for layer in model.layers
        if layer.weights
        and all(
            np.array_equal(a, b)
            for a, b in zip(layer.get_weights(), other.get_layer(layer.name).get_weights(), strict=True)
        )
    }


def test_another_skeleton_keeps_all_but_what_its_keypoints_are(mpii, capsys: pytest.CaptureFixture) -> None:
    model = build_model(TWO, 14)
    take_weights(model, saved_model.Facts(LSP14, "pck", RunConfig(model=TWO)), mpii[0])
    of_keypoints = {f"stack{s}_gt{f}" for s in (1, 2) for f in (1, 2)}
    of_keypoints |= {"stack1_remap_heatmaps", "regression_in_conv", "regression_correction"}
    everything = {layer.name for layer in model.layers if layer.weights}
    assert of_keypoints < everything and _kept(model, mpii[1]) == everything - of_keypoints
    said = capsys.readouterr().out
    assert f"{len(everything) - 7} layers kept, 7 made anew" in said
    assert "kept are those of stem, stack1, stack2, regression\n" in said
    assert "made anew, for lsp14's 14 keypoints instead of mpii16's 16: " in said
    assert all(name in said for name in of_keypoints)


def test_as_many_other_keypoints_are_other_keypoints(mpii) -> None:
    renamed = replace(MPII16, name="own", keypoints=tuple(reversed(MPII16.keypoints)))
    model = build_model(TWO, 16)
    take_weights(model, saved_model.Facts(renamed, "pckh", RunConfig(model=TWO)), mpii[0])
    assert "stack1_gt1" not in _kept(model, mpii[1]) and "stem_a_conv" in _kept(model, mpii[1])


def test_the_same_skeleton_keeps_everything_at_another_size(mpii, capsys: pytest.CaptureFixture) -> None:
    larger = replace(TWO, input_size=(64, 48))
    model = build_model(larger, 16)
    take_weights(model, saved_model.Facts(MPII16, "pckh", RunConfig(model=larger)), mpii[0])
    assert _kept(model, mpii[1]) == {layer.name for layer in model.layers if layer.weights}
    assert "anew" not in capsys.readouterr().out


def test_another_network_is_no_start(mpii) -> None:
    one = replace(TWO, stacks=1)
    with pytest.raises(MsposeError, match=r"mpii\.keras: another network .*stacks=2.*; expected .*stacks=1"):
        take_weights(build_model(one, 16), saved_model.Facts(MPII16, "pckh", RunConfig(model=one)), mpii[0])
