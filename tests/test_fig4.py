"""The figures of the paper's claims are of the ablations beside them, the tables of what the runs were measured as."""

import json
from pathlib import Path

import pytest

from keras_mspose import ablate_run, ablation
from keras_mspose.ablation_report import markdown
from keras_mspose.config import from_dict

ENDS = "low", "high"
FOLDER = Path(__file__).parents[1] / "docs" / "fig4"
PLACES = pytest.mark.parametrize(
    ("name", "folder"),
    [("paper_lsp", FOLDER), (str(FOLDER / "float32" / "float32.yaml"), FOLDER / "float32")],
    ids=["bfloat16", "float32"],
)


def _content(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


@PLACES
def test_the_runs_are_of_the_recipe(name: str, folder: Path) -> None:
    recorded = {cell: from_dict(known, cell) for cell, known in _content(folder / "ablation.json")["cells"].items()}
    assert recorded == {cell.name: cell.config for cell in ablation.load(name).cells}


@PLACES
def test_the_tables_are_what_the_runs_were_measured_to_be(name: str, folder: Path) -> None:
    again = json.loads(json.dumps(ablate_run.results(ablation.load(name), folder)))
    written = _content(folder / "results.json")
    assert markdown(written, "fig4.png") == (folder / "results.md").read_text(encoding="utf-8")
    for found, expected in zip(again["cells"], written["cells"], strict=True):
        assert found["seeds"] == pytest.approx(expected["seeds"], abs=1e-6)
        assert [found.get(end) for end in ENDS] == pytest.approx([expected.get(end) for end in ENDS], abs=0.1)
    for kind in ("differences", "effects"):
        for found, expected in zip(again[kind], written[kind], strict=True):
            for key, value in found.items():
                assert value == (
                    pytest.approx(expected[key], abs=0.1) if isinstance(value, float) else expected[key]
                ), key
