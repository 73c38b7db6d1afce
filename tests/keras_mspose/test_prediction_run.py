"""`mspose predict`: every kind of file read or named, videos followed, and a killed command that goes on."""

from __future__ import annotations

import io
import json
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from keras_mspose import cli, photograph_work
from keras_mspose.errors import MsposeError
from keras_mspose.pose_estimator import PoseEstimator
from keras_mspose.prediction_inputs import listed
from keras_mspose.prediction_journal import Journal
from keras_mspose.prediction_run import _Run
from keras_mspose.tracking import Tracker
from keras_mspose.video_work import Following

SIZE, PLACE = (320, 200), (200.4, 90.2)
REASONS = {
    "text.jpg": "not an image; expected JPEG",
    "empty.jpg": "an empty file",
    "huge.png": "more than 80 megapixels",
    "cut.jpg": "not a whole image",
    "float.tiff": "floating-point",
}
RIGHT = ("cmyk.jpg", "grey_alpha.png", "grey16.tiff", "animated.gif", *(f"orientation{i}.jpg" for i in range(1, 9)))


@pytest.fixture(scope="module")
def network(spot_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spot network as ONNX."""
    from export.run import export_run

    out = tmp_path_factory.mktemp("exports") / "spot"
    export_run(spot_run, out, ["onnx"], precisions=["float32"], name="spot")
    return out / "onnx/model_float32.onnx"


def poses_of(out: Path) -> list[dict]:
    return json.loads((out / "keypoints.json").read_text())["poses"]


def positions(pose: dict) -> np.ndarray:
    return np.array([[k["x"], k["y"]] for k in pose["keypoints"]])


@pytest.fixture(scope="module")
def strange(network: Path, spot: Callable, as_stored: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a folder with files of every kind."""
    folder, out = tmp_path_factory.mktemp("strange"), tmp_path_factory.mktemp("results") / "out"
    pixels = spot(*PLACE, SIZE)
    picture, grey = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.jpg").touch()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    ]
    (folder / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    Image.merge("LA", (grey, Image.new("L", SIZE, 128))).save(folder / "grey_alpha.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "grey16.tiff")
    Image.fromarray(pixels[..., 0].astype(np.float32)).save(folder / "float.tiff")
    elsewhere = Image.fromarray(spot(60, 150, SIZE))
    picture.save(folder / "animated.gif", save_all=True, append_images=[elsewhere] * 3)
    Image.new("RGB", (1, 1), "white").save(folder / "one_pixel.png")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        as_stored(picture, orientation).save(folder / f"orientation{orientation}.jpg", quality=95, exif=exif)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    (folder / "cut.jpg").write_bytes(buffer.getvalue()[:1500])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert cli.main(["predict", str(network), str(folder), "--out", str(out)]) == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
    assert not (out / "unfinished.jsonl").exists()
    return out


@pytest.mark.parametrize("name", [*RIGHT, *REASONS, "one_pixel.png"])
def test_files_of_every_kind(name: str, strange: Path) -> None:
    found = [pose for pose in poses_of(strange) if pose["image"] == name]
    skipped = json.loads((strange / "keypoints.json").read_text())["skipped"]
    reasons = [one["reason"] for one in skipped if Path(one["image"]).name == name]
    drawn = strange / f"{Path(name).stem}_pose.png"
    if name in REASONS:
        assert not found and len(reasons) == 1 and not drawn.exists()
        assert name in reasons[0] and REASONS[name] in reasons[0]
        return
    assert len(found) == 1 and not reasons
    assert Image.open(drawn).size == ((1, 1) if name == "one_pixel.png" else SIZE)
    assert np.isfinite(positions(found[0])).all()
    if name in RIGHT:
        assert np.abs(positions(found[0]) - PLACE).max() < 1, "not where the spot is"
        (same,) = (positions(pose) for pose in poses_of(strange) if pose["image"] == "orientation1.jpg")
        assert np.abs(positions(found[0]) - same).max() < 0.2


def test_strict_stops_and_nothing_readable_is_bad_input(
    network: Path, spot: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/text.jpg").write_text("hello")
    command = ["predict", str(network), str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    assert cli.main(command) == 2
    assert "none of 1 files could be read" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
    Image.fromarray(spot(*PLACE, SIZE)).save(tmp_path / "photos/a.png")
    assert cli.main([*command, "--strict"]) == 2
    assert "not an image" in capsys.readouterr().err and not (tmp_path / "out/keypoints.json").exists()
    assert cli.main([*command, "--flip"]) == 2
    assert "unfinished results of another command" in capsys.readouterr().err
    assert cli.main(command) == 0
    said = capsys.readouterr()
    assert "1 poses in" in said.out and "1 of 2 files skipped" in said.out and "text.jpg: not an image" in said.err


def test_several_persons_and_every_output(network: Path, spot: Callable, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    for folder in (photos, photos / "more"):
        folder.mkdir()
        Image.fromarray(np.maximum(spot(60, 60, SIZE), spot(250, 140, SIZE))).save(folder / "1.jpg", quality=95)
    Image.fromarray(spot(60, 60, SIZE)).save(photos / "1.png")
    boxes = {"1.jpg": [[20, 20, 80, 80], [210, 100, 80, 80]], "none.jpg": []}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    command = ["predict", str(network), str(photos / "**/*.*"), "--boxes", str(tmp_path / "boxes.json")]
    assert cli.main([*command, "--out", str(out), "--pictures", "jpg"]) == 0
    found = poses_of(out)
    assert [(pose["image"], pose["person"], pose["found"]) for pose in found] == [
        (f"{folder}/1.jpg", person, "box") for folder in (photos, photos / "more") for person in range(2)
    ]
    for pose, place in zip(found, [(60, 60), (250, 140)] * 2, strict=True):
        assert np.abs(positions(pose) - place).max() < 1
    assert sorted(path.name for path in out.iterdir()) == [
        *("1_2_pose.jpg", "1_3_pose.jpg", "1_pose.jpg", "coco_results.json", "keypoints.csv", "keypoints.json")
    ]
    coco = json.loads((out / "coco_results.json").read_text())
    assert [entry["image_id"] for entry in coco] == [pose["image"] for pose in found]
    assert len(coco[0]["keypoints"]) == 42
    lines = (out / "keypoints.csv").read_text().splitlines()
    assert lines[0] == "image,frame,person,keypoint,x,y,score" and len(lines) == 1 + 4 * 14
    assert lines[1].startswith(f"{photos}/1.jpg,,0,right_ankle,")
    (tmp_path / "boxes.json").write_text('{"other.jpg": []}')
    assert cli.main([*command, "--out", str(tmp_path / "none")]) == 2
    assert cli.main(["predict", str(network), str(photos), "--box", "1,2", "--out", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_what_inputs_are_called(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "a_2.jpg", "b.mp4", "notes.txt", "out/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = listed([tmp_path, tmp_path / "a.jpg", str(tmp_path / "**/*.jpg"), "0"], tmp_path / "out")
    assert [(one.name, one.moves) for one in found] == [
        *(("a", False), ("a_2", False), ("a_2_2", False), ("b", True), ("webcam0", True))
    ]
    for given in (tmp_path / "none.jpg", tmp_path / "*.webp", tmp_path / "out"):
        with pytest.raises(MsposeError, match=r"no such file|matches no photograph|is --out as well"):
            listed([given], tmp_path / "out")


def test_names_that_differ_by_case_alone_or_not_at_all(tmp_path: Path) -> None:
    for name in ("A.jpg", "a.png", "b/a.png", "b/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = listed([tmp_path / "A.jpg", tmp_path / "a.png", tmp_path / "b"], tmp_path / "out")
    assert [one.name for one in found] == ["A", "a_2", "a_3", "c"]
    assert [one.image for one in found] == ["A.jpg", f"{tmp_path}/a.png", f"{tmp_path}/b/a.png", "c.png"]


def test_a_photograph_may_vanish_once_it_is_done(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (one,) = listed([tmp_path / "a.jpg"], tmp_path / "out")
    journal = Journal(tmp_path / "out", {})
    journal.add(one, [{"image": "a.jpg"}])
    journal.end(one)
    (tmp_path / "a.jpg").unlink()
    assert journal.has(one) and journal.reason(one) is None and list(journal.poses(one)) == [{"image": "a.jpg"}]
    journal.close()


def test_what_opencv_cannot_do_is_said_of_its_file(tmp_path: Path) -> None:
    with pytest.raises(MsposeError, match=r"a\.jpg: 65501 x 1 pixels .* --pictures png or none"):
        photograph_work.write(tmp_path / "a.jpg", np.zeros((1, 65501, 3), np.uint8))
    assert not list(tmp_path.iterdir())
    (tmp_path / "b.jpg").touch()
    (one,) = listed([tmp_path / "b.jpg"], tmp_path / "out")
    journal = Journal(tmp_path / "out", {})

    def parts() -> list:
        return [cv2.resize(np.zeros((2, 2, 3), np.uint8), (0, 0))]

    run = [_Run(None, journal, tmp_path, photograph_work.Choices(), Following(), strict) for strict in (False, True)]
    run[0]._keep(one, parts)
    assert journal.reason(one).startswith(f"{tmp_path}/b.jpg: OpenCV failed (")
    with pytest.raises(MsposeError, match=r"b\.jpg: OpenCV failed"):
        run[1]._keep(one, parts)
    journal.close()


def video(path: Path, frames: list[np.ndarray]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame)
    writer.release()


def test_a_video_is_followed(network: Path, spot: Callable, tmp_path: Path) -> None:
    places = [(60 + 3 * i, 60 + i) for i in range(30)]
    video(tmp_path / "v.mp4", [spot(*place, SIZE) for place in places])
    (tmp_path / "bad.mp4").write_text("hello")
    command = ["predict", str(network), str(tmp_path / "v.mp4"), str(tmp_path / "bad.mp4")]
    assert cli.main([*command, "--no-smoothing", "--out", str(tmp_path / "out")]) == 0
    found = poses_of(tmp_path / "out")
    assert [pose["frame"] for pose in found] == list(range(30))
    assert [pose["found"] for pose in found] == ["coarse to fine"] + ["followed"] * 29
    assert max(np.abs(positions(pose) - place).max() for pose, place in zip(found, places, strict=True)) < 1.5
    assert found[-1]["box"]["side"] < 0.35 * SIZE[0] / 2  # comes closer than coarse to fine alone does
    drawn = cv2.VideoCapture(str(tmp_path / "out/v_pose.mp4"))
    assert (drawn.get(cv2.CAP_PROP_FRAME_COUNT), drawn.get(cv2.CAP_PROP_FRAME_WIDTH)) == (30, 320)
    (skipped,) = json.loads((tmp_path / "out/keypoints.json").read_text())["skipped"]
    assert "bad.mp4: not a video that OpenCV reads" in skipped["reason"]
    assert cli.main([*command, "--frames", "5", "--pictures", "none", "--out", str(tmp_path / "five")]) == 0
    assert len(poses_of(tmp_path / "five")) == 5 and not list((tmp_path / "five").glob("*.mp4"))


def test_who_is_lost_is_searched_and_who_stands_does_not_tremble(network: Path, spot: Callable) -> None:
    estimator, black = PoseEstimator.load(network), np.zeros((200, 320, 3), np.uint8)
    tracker = Tracker(estimator, smooth=False)
    frames = [spot(50, 50, SIZE), spot(53, 50, SIZE), black, black, spot(280, 160, SIZE), spot(280, 160, SIZE)]
    found = [tracker.find(frame, i / 25) for i, frame in enumerate(frames)]
    assert [pose.found for pose in found] == [
        *("coarse to fine", "followed", "followed", "coarse to fine", "coarse to fine", "followed")
    ]
    assert np.abs(found[-1].keypoints - (280, 160)).max() < 1.5
    trembling = [spot(150 + x, 90, SIZE) for x in np.random.default_rng(0).normal(0, 1, 25)]
    plain, smooth = Tracker(estimator, smooth=False), Tracker(estimator)
    spread = [
        np.std([one.find(frame, i / 25).keypoints[:, 0] for i, frame in enumerate(trembling)][5:], axis=0).mean()
        for one in (plain, smooth)
    ]
    assert spread[1] < 0.7 * spread[0]


def test_a_killed_command_goes_on(network: Path, spot: Callable, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(200):
        Image.fromarray(spot(40 + i, 30 + i % 140, SIZE)).save(photos / f"{i}.jpg", quality=95)
    (photos / "7.jpg").write_text("hello")
    video(photos / "v.mp4", [spot(60 + 3 * i, 60, SIZE) for i in range(8)])
    command = ["predict", str(network), str(photos), "--workers", "2", "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-m", "keras_mspose.cli", *command, str(killed)])
    journal = killed / "unfinished.jsonl"
    until = time.monotonic() + 300
    while not journal.exists() or journal.stat().st_size < 20_000:
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "keypoints.json").exists()
    with open(journal, "ab") as file:
        file.write(b'{"of": "half a li')
    done = [path for path in killed.glob("*_pose.png") if path.stat().st_size]
    assert 10 < len(done) < 190
    times = {path.name: path.stat().st_mtime_ns for path in done}
    assert cli.main([*command, str(killed)]) == 0
    assert sum((killed / name).stat().st_mtime_ns == changed for name, changed in times.items()) >= len(done) - 4
    assert cli.main([*command, str(whole)]) == 0
    assert sorted(path.name for path in whole.iterdir()) == sorted(path.name for path in killed.iterdir())
    for path in whole.iterdir():
        assert path.suffix == ".mp4" or path.read_bytes() == (killed / path.name).read_bytes(), path.name
    assert len(poses_of(whole)) == 199 + 8
