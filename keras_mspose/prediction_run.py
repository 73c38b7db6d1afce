"""What `mspose predict` does: photographs and folders in, keypoints.json and drawn pictures out."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from keras_mspose.errors import MsposeError
from keras_mspose.prediction import Predictor, write_poses

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def predict_files(
    model: Path, images: list[Path], out: Path, *, box: str | None = None, skip_bad: bool = False
) -> Path:
    """Find one pose in each photograph and write the results.

    Args:
        images: photographs, or folders whose photographs are taken.
        box: `CX,CY,SIDE` in pixels, for all of them; the whole image where None.
        skip_bad: leave out unreadable files instead of stopping at the first.

    Returns:
        Path of `keypoints.json`.

    Raises:
        MsposeError: no such model, nothing to read, a bad box, or an unreadable file.
    """
    square, files = _square(box), list_images(images)
    predictor = Predictor(model)
    poses, skipped = [], []
    for file in track(files, "predicting", console=Console(stderr=True), transient=True):
        try:
            poses.append(predictor.predict(file, square))
        except MsposeError as error:
            if not skip_bad:
                raise MsposeError(f"{error}; --skip-bad leaves such files out") from error
            skipped.append(str(error))
    for reason in skipped:
        print(f"skipped {reason}", file=sys.stderr)
    if not poses:
        raise MsposeError(f"none of {len(files)} files could be read")
    path = write_poses(poses, predictor.facts.skeleton, out)
    print(f"{len(poses)} poses in {path}" + (f", {len(skipped)} files skipped" if skipped else ""))
    return path


def list_images(paths: list[Path]) -> list[Path]:
    """The photographs that paths mean: files as given, folders by their image files in order.

    Raises:
        MsposeError: a path is missing, or a folder has no image.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise MsposeError(f"{path}: a folder without images ({', '.join(sorted(SUFFIXES))})")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise MsposeError(f"{path}: no such file or folder")
    return found


def _square(box: str | None) -> tuple[float, float, float] | None:
    if box is None:
        return None
    try:
        x, y, side = (float(part) for part in box.split(","))
    except ValueError as error:
        raise MsposeError(f"--box {box}: expected CX,CY,SIDE in pixels, for example 320,240,400") from error
    if not side > 0:
        raise MsposeError(f"--box {box}: the side must be above 0")
    return x, y, side
