"""Recipes are read whole or refused by name: a typing error never trains the default in silence."""

import dataclasses
import json
from pathlib import Path

import pytest

from keras_mspose.config import PRESETS, ModelConfig, RunConfig, from_dict, load_recipe, recipe_names
from keras_mspose.errors import MsposeError


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_and_keeps_its_preset(name: str) -> None:
    assert load_recipe(name).model in PRESETS.values()


def test_the_papers_recipe_is_the_papers() -> None:
    config = load_recipe("mpii_paper")
    assert config.model == ModelConfig(4, 64, (256, 256), (1, 2, 4, 8), 4, True)
    settings = config.training
    assert (settings.epochs, settings.learning_rate, settings.sigma, settings.pyramid) == (100, 5e-4, 1.0, "rendered")


def test_a_preset_is_changed_by_the_keys_beside_it() -> None:
    config = from_dict({"model": {"preset": "small", "stacks": 3}}, "r.yaml")
    assert config.model == dataclasses.replace(PRESETS["small"], stacks=3)
    assert config.training == RunConfig().training


def test_a_run_survives_its_json_file() -> None:
    config = load_recipe("lsp_small", ["training.seed=7", "model.input_size=[128, 192]"])
    assert from_dict(json.loads(json.dumps(config.to_dict())), "config.json") == config


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"model": {"stack": 2}}, "model.stack: unknown key"),
        ({"modle": {}}, "modle: unknown key"),
        ({"data": {"augment": {"rotate": 3.0}}}, "data.augment.rotate: unknown key"),
        ({"training": {"epochs": "many"}}, "training.epochs: .*integer.*'many'"),
        ({"training": {"epochs": 2.5}}, "training.epochs: .*2.5"),
        ({"training": {"epochs": 0}}, "training.epochs: .*greater than 0"),
        ({"training": {"decay": "linear"}}, "training.decay: .*'linear'"),
        ({"training": {"learning_rate": -1.0}}, "training.learning_rate: .*greater than 0"),
        ({"data": {"box": "guess"}}, "data.box: .*'guess'"),
        ({"data": {"augment": {"flip": 1.5}}}, "data.augment.flip: .*1.5"),
        ({"data": {"augment": {"patch_size": 0.0}}}, "data.augment.patch_size: .*greater than 0"),
        ({"data": {"augment": {"occluder_size": 0.05}}}, "data.augment.occluder_size: .*0.05"),
        ({"model": {"channels": 7}}, "model.channels: .*multiple of 2.*7"),
        ({"model": {"regression": "yes"}}, "model.regression: .*'yes'"),
        ({"model": {"input_size": [250, 256]}}, r"input_size \(250, 256\) must divide by 64"),
        ({"model": {"input_size": [256]}}, "model.input_size"),
        ({"model": {"scales": [2, 4]}}, r"scales must begin with 1.*\(2, 4\)"),
        ({"model": {"scales": [1, 4, 2]}}, r"scales must begin with 1, rise.*\(1, 4, 2\)"),
        ({"model": {"scales": [1, 3]}}, r"among \[1, 2, 4, 8\]; got \(1, 3\)"),
        ({"model": {"scales": [1, 16]}}, r"got \(1, 16\)"),
        ({"model": {"scales": []}}, r"scales must begin with 1.*\(\)"),
        ({"model": {"preset": "huge"}}, "unknown preset 'huge'; there are paper, large, small, tiny"),
        ({"model": 3}, "model: .*3"),
        ([], "expected sections model, data, training; got list"),
    ],
)
def test_mistakes_are_named(data: dict, said: str) -> None:
    with pytest.raises(MsposeError, match=f"^mine.yaml: .*{said}"):
        from_dict(data, "mine.yaml")


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(MsposeError, match=r"model\.stack: .*training\.epochs: "):
        from_dict({"model": {"stack": 2}, "training": {"epochs": 0}}, "mine.yaml")


def test_no_such_recipe_or_file() -> None:
    with pytest.raises(MsposeError, match=r"no recipe 'mpii_papers'; shipped are .*mpii_paper"):
        load_recipe("mpii_papers")
    with pytest.raises(MsposeError, match=r"absent\.yaml: no such recipe file"):
        load_recipe("absent.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: {stacks: 2", "not YAML"),
        ("- model", "expected sections"),
        ("just words", "expected sections"),
        ("model:\n  stacks: two\n", "model.stacks"),
        ("training:\n  learning_rate: .nan\n", "training.learning_rate"),
        ("training: {seed: 2024-05-01}", "training.seed: .*2024-05-01"),
        (b"\xff\xfe\x00 \x80", "not YAML"),
        ("# Gr\u00f6\u00dfe".encode("latin-1"), "not YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_in_one_line(text: str | bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MsposeError, match=said) as error:
        load_recipe(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "{}"])
def test_an_empty_file_is_the_default(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    assert load_recipe(str(path)) == RunConfig()


def test_set_changes_values() -> None:
    changes = ["training.epochs=2", "model.scales=[1, 2]", "data.augment.flip=0.0", "training.val_persons=null"]
    config = load_recipe("lsp_small", changes)
    assert (config.training.epochs, config.model.scales, config.data.augment.flip) == (2, (1, 2), 0.0)
    assert config.training.val_persons is None
    assert config.data.augment.rotation == load_recipe("lsp_small").data.augment.rotation


@pytest.mark.parametrize("text", ["5e-4", "5E-04", "0.5e-3", ".5e-3", "5.e-4", "0.0005", json.dumps(0.0005)])
def test_every_form_of_a_number_is_a_number(text: str) -> None:
    assert load_recipe("lsp_small", [f"training.learning_rate={text}"]).training.learning_rate == 5e-4
    assert load_recipe("lsp_small", [f"training.learning_rate={json.dumps(5e-05)}"]).training.learning_rate == 5e-05


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("epochs=2", "--set epochs=2: expected section.key=value"),
        ("training.epochs", "expected section.key=value"),
        ("training.epochs.first=2", "epochs is not a section"),
        ("training.epoch=2", "training.epoch: unknown key"),
        ("training.epochs=", "training.epochs"),
        ("training.epochs=[", r"--set training.epochs=\[: '\[' is not a YAML value"),
    ],
)
def test_changes_with_mistakes_are_named(change: str, said: str) -> None:
    with pytest.raises(MsposeError, match=said):
        load_recipe("lsp_small", [change])
