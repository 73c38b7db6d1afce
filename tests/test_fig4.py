"""The figure of the paper's claims is of the shipped ablation, and its tables are what its runs were measured to be."""

import json
from pathlib import Path

import pytest

from keras_mspose import ablate_run, ablation
from keras_mspose.ablation_report import markdown
from keras_mspose.config import from_dict

ENDS = "low", "high"
FOLDER = Path(__file__).parents[1] / "docs" / "fig4"


@pytest.fixture(scope="module")
def shipped() -> ablation.Ablation:
    return ablation.load("paper_lsp")


def _content(name: str) -> dict:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def test_the_runs_are_of_the_shipped_recipe(shipped: ablation.Ablation) -> None:
    recorded = {name: from_dict(cell, name) for name, cell in _content("ablation.json")["cells"].items()}
    assert recorded == {cell.name: cell.config for cell in shipped.cells}


def test_the_tables_are_what_the_runs_were_measured_to_be(shipped: ablation.Ablation) -> None:
    again, written = json.loads(json.dumps(ablate_run.results(shipped, FOLDER))), _content("results.json")
    assert markdown(written, "fig4.png") == (FOLDER / "results.md").read_text(encoding="utf-8")
    for found, expected in zip(again["cells"], written["cells"], strict=True):
        assert found["seeds"] == pytest.approx(expected["seeds"], abs=1e-6)
        assert [found.get(end) for end in ENDS] == pytest.approx([expected.get(end) for end in ENDS], abs=0.1)
    for kind in ("differences", "effects"):
        for found, expected in zip(again[kind], written[kind], strict=True):
            for key, value in found.items():
                assert value == (
                    pytest.approx(expected[key], abs=0.1) if isinstance(value, float) else expected[key]
                ), key
