"""README.md and docs/ are true: every command is one of the command line's, those that a newcomer begins with are run,
links lead somewhere, and what is computed by hand is what the code computes.

Commands are run over one tiny network that nobody trained, on painted dots. Those that need a download, train for
hours, listen, or have tests of their own (`convert`, `doctor`, `info`, `export`, `verify`, `serve`, `app`, `submit`,
`ablate`, `demo`) are checked against the parser instead, so that an option that is renamed fails here.
docs/own-data.md is run whole by tests/tfrecords_tools/test_own_data_page.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from keras_mspose import cli, geometry, saved_model
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.model import build_model
from keras_mspose.skeleton import LSP14

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/README.md")])
BEGIN = [ROOT / "README.md", ROOT / "docs/README.md", ROOT / "docs/faq.md"]  # run, as far as they can be
RUN = {"inspect", "evaluate", "predict", "show", "score", "compare"}
NETWORK = "runs/lsp"  # stands in for the released network, which is larger
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def in_blocks(page: Path) -> list[list[str]]:
    """Words behind `mspose` of every command in a block of code."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^ {4,}(.+)$", text, re.MULTILINE)
    lines += [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.split("\n")
    ]
    parts = [part.strip() for line in lines for part in re.sub(r" {2,}#.*| # .*", "", line).split("&&")]
    return [shlex.split(re.sub(r"[\[\]]|\.\.\.", "", part))[1:] for part in parts if part.startswith("mspose ")]


def in_sentences(page: Path) -> list[list[str]]:
    """Words behind `mspose` of every command between back quotes: often a part of one."""
    spans = re.findall(r"`mspose\s([^`]+)`", page.read_text(encoding="utf-8"))
    return [span.split() for span in spans]


def parser_of(words: list[str]) -> argparse.ArgumentParser:
    """The parser of the subcommand that the words begin with."""
    parser, rest = cli._parser(), list(words)
    while choices := next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None):
        if not rest or rest[0] not in choices:
            break
        parser = choices[rest.pop(0)]
    return parser


@pages
def test_every_command_is_one(page: Path) -> None:
    for words in in_blocks(page):
        try:
            options = cli._parser().parse_args(words)
        except SystemExit:
            pytest.fail(f"{page.name}: mspose {' '.join(words)}")
        assert callable(options.run)
    for words in in_sentences(page):
        if words[0].startswith("--") or words[0] == "COMMAND":
            continue
        parser = parser_of(words)
        assert parser.prog != "mspose", f"{page.name}: no command {words[0]}"
        known = {name for action in parser._actions for name in action.option_strings}
        unknown = {word for word in words if word.startswith("--")} - known
        assert not unknown, f"{page.name}: mspose {' '.join(words)} has no {unknown}"


@pages
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
    for target in re.findall(r"`(docs/[\w./-]+?)/?`", page.read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in ROOT.glob("docs/*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs/pictures").iterdir():
        assert picture.stat().st_size < 300_000, picture.name


def test_the_drawn_coordinates_are_those_of_the_code() -> None:
    script = ROOT / "docs/pictures/coordinates.py"
    spec = importlib.util.spec_from_file_location("coordinates", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.svg() == (ROOT / "docs/pictures/coordinates.svg").read_text(encoding="utf-8")


def test_the_table_by_hand() -> None:
    rows = re.findall(
        r"^\| ([\w/, ]+) \| ([\d.]+) \| ([\d.]+) \|", (ROOT / "docs/coordinates.md").read_text(), re.MULTILINE
    )
    said = {name: np.array([float(x), float(y)]) for name, x, y in rows}
    crop = geometry.apply(
        geometry.crop_transform(np.array([320.0, 240]), np.float64(400), (256, 256)), said["photograph"][None]
    )
    expected = {"crop": crop[0], "crop, mirrored": np.array([geometry.flip_x(crop[0, 0], 256), crop[0, 1]])}
    for name, stride in (("GT", 4), ("GT/2", 8), ("GT/4", 16), ("GT/8", 32)):
        expected[f"{name}, stride {stride}"] = geometry.crop_to_heatmap(crop[0], stride)
    assert len(said) == 7
    for name, place in expected.items():
        np.testing.assert_allclose(said[name], place, atol=1e-6)


@pytest.mark.slow
def test_a_newcomer_gets_through(dots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(dots.records.folder, "data/lsp")
    photograph = io.BytesIO(next(iter(dots.persons.values())).image)
    for name in ("photo.jpg", "a.jpg", "b.jpg"):
        Image.open(photograph).save(name)
    Path("runs/lsp").mkdir(parents=True)
    size = {"stacks": 1, "channels": 8, "input_size": (64, 64), "depth": 2, "scales": (1, 2)}
    config = RunConfig(model=ModelConfig(**size))
    saved_model.save(
        build_model(config.model, 14), Path("runs/lsp/best.keras"), saved_model.Facts(LSP14, "pck", config)
    )
    shutil.copytree("runs/lsp", "runs/half")
    assert cli.main(["evaluate", "runs/lsp", "--data", "data/lsp", "--box", "joints", "--predictions", "a.json"]) == 0
    shutil.copyfile("a.json", "b.json")
    done = set()
    for words in dict.fromkeys(tuple(words) for page in BEGIN for words in in_blocks(page)):
        if words[0] in RUN and not any(re.fullmatch(r"[A-Z]+", word) for word in words[1:]):
            lacking = "hog" in words and not hasattr(cv2, "HOGDescriptor")  # OpenCV 5 has it in its contrib wheel alone
            code = cli.main([NETWORK if word == "lsp14-small" else word for word in words])
            assert code == (2 if lacking else 0), words
            done.add(words[0])
    assert done == RUN
    assert Path("accuracy.json").is_file() and Path("poses/keypoints.json").is_file()
    assert all(Path(name).is_file() for name in ("strip.png", "wrist.png", "both.png", "data/lsp.png"))
