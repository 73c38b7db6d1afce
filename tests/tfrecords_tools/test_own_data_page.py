"""docs/own-data.md is true: its files are written and its commands run as they stand on the page."""

import re
import shlex
from pathlib import Path

import pytest

from keras_mspose import cli
from keras_mspose.config import AugmentConfig, DataConfig, TrainingConfig
from keras_mspose.metrics import THRESHOLDS
from keras_mspose.records import METRICS, RecordSet
from keras_mspose.skeleton import SKELETONS, Skeleton
from tfrecords_tools import custom_form
from tfrecords_tools.custom_person import person_of

PAGE = Path(__file__).parents[2] / "docs" / "own-data.md"
# so small that it trains in seconds; everything else is as on the page
TINY = "model.preset=tiny model.channels=4 model.input_size=[64,64] model.depth=1 model.scales=[1]"
SHORT = f"{TINY} training.epochs=1 training.batch_size=2"


def indented(text: str) -> str:
    """The block of code at the start of the text."""
    lines = []
    for line in text.lstrip("\n").split("\n"):
        if line and not line.startswith("    "):
            break
        lines.append(line[4:])
    return "\n".join(lines).strip() + "\n"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture
def folder(page: str, tmp_path: Path, jpeg, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, with stand-ins for the photographs that it names."""
    monkeypatch.chdir(tmp_path)
    names = re.findall(r"^`([\w./]+)`:\n", page, re.MULTILINE)
    assert names == ["foxes/skeleton.yaml", "foxes/persons.csv", "foxes.yaml"]
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(indented(page.split(f"`{name}`:\n")[1]))
    images = {line.split(",")[0] for line in Path("foxes/persons.csv").read_text().splitlines()[1:]}
    for i, name in enumerate(sorted(images)):
        path = Path("foxes/images") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(i, size=(160, 120)))
    Path("photo.jpg").write_bytes(jpeg(9, size=(160, 120)))
    return tmp_path


def commands(page: str) -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"^    mspose (.+)$", page, re.MULTILINE)]


def test_convert_and_inspect(page: str, folder: Path) -> None:
    for arguments in commands(page)[:2]:
        assert cli.main(arguments) == 0
    data = RecordSet.load("data/foxes")
    assert {name: split["images"] for name, split in data.splits.items()} == {"train": 2, "val": 1}
    assert data.metric == "pck_box" and data.skeleton.name == "fox"
    assert Path("data/foxes.png").is_file()


@pytest.mark.slow
def test_every_command(page: str, folder: Path) -> None:
    assert [c[0] for c in commands(page)] == ["convert", "inspect", "train", "evaluate", "predict", "export"]
    for arguments in commands(page):
        extra = ["--set", *SHORT.split()] if arguments[0] == "train" else []
        assert cli.main([*arguments, *extra]) == 0, arguments
    assert Path("poses/keypoints.json").is_file() and any(Path("runs/foxes/export").iterdir())


def test_json_lines_on_the_page_say_what_its_csv_says(page: str, folder: Path) -> None:
    skeleton = Skeleton("fox", ("nose", "left_ear", "tail"))
    Path("one.jsonl").write_text(re.search(r"^    (\{.*\})$", page, re.MULTILINE)[1])
    (row,) = custom_form.read(Path("one.jsonl"), skeleton)
    _, person = person_of(row, skeleton, Path("foxes/images"), Path("one.jsonl"))
    assert person.keypoints.tolist() == [[35, 48, 2], [28, 31, 2], [0, 0, 0]]
    assert person.box == (54.5, 59.5, 112.5) and person.image.is_file()


def test_names_on_the_page_are_those_of_the_code(page: str) -> None:
    named = set(re.findall(r"`([\w.]+)`", page))
    assert set(custom_form.FIELDS) <= named
    assert set(Skeleton.__dataclass_fields__) <= named
    assert set(SKELETONS) <= named | {"coco17"} and set(METRICS) <= named
    for metric, threshold in THRESHOLDS.items():
        assert re.search(rf"^\| `{metric}`, {METRICS[metric]} \| {threshold:g} of ", page, re.MULTILINE)
    settings = {"data.box": DataConfig, "training.batch_size": TrainingConfig, "training.epochs": TrainingConfig}
    for name, section in settings.items():
        assert name in named and name.split(".")[1] in section.__dataclass_fields__
    for name in re.findall(r"`data\.augment\.(\w+)", page):
        assert name in AugmentConfig.__dataclass_fields__
