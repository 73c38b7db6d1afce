"""COCO person keypoints (Lin et al., ECCV 2014), in the layout of the 2017 release.

    SOURCE/annotations/person_keypoints_train2017.json, person_keypoints_val2017.json
    SOURCE/train2017/, SOURCE/val2017/   the photographs

Crowds and persons without a labelled keypoint are left out and counted. Pixels are taken as they stand, from 0.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import COCO17
from tfrecords_tools import photographs, writer

if TYPE_CHECKING:
    from typing_extensions import Unpack

SPLITS = {"train": "train2017", "val": "val2017"}
BOX_MARGIN = 1.25


def convert(
    source: Path,
    out: Path,
    **how: Unpack[writer.How],
) -> RecordSet:
    """Convert COCO to a record folder with the splits `train` and `val`, as far as their annotation is there.

    Args:
        source: folder with `annotations` and the photographs' folders.
        out: the record folder to make.
        how: `skip_bad`, `overwrite`, `crop`, `workers`, see `writer.write`.

    Raises:
        MsposeError: folder or annotation missing or of another form, or what `writer.write` refuses.
    """
    source = Path(source)
    files = {split: source / "annotations" / f"person_keypoints_{folder}.json" for split, folder in SPLITS.items()}
    present = {split: path for split, path in files.items() if path.is_file()}
    if not present:
        raise MsposeError(
            f"{files['train']}: missing, and {files['val'].name} too; give COCO's folder, annotations/ in it"
        )
    persons: list[tuple[str, Person]] = []
    left_out: Counter[str] = Counter()
    for split, path in present.items():
        found, dropped = read(path, source / SPLITS[split])
        persons += [(split, person) for person in found]
        left_out += dropped
    return writer.write(
        persons,
        out,
        name="coco",
        skeleton=COCO17,
        metric="pck",
        source=str(source),
        options={},
        notes={"left_out": dict(left_out)} if left_out else None,
        **how,
    )


def read(path: Path, images: Path) -> tuple[list[Person], Counter[str]]:
    """Read one annotation file; no photograph is opened.

    Args:
        path: `person_keypoints_*.json`.
        images: folder of its photographs.

    Returns:
        Persons in the file's order, with keypoints (17, 3), the square about the annotated box, 1.25 times its longer
        side, and the segment's area, which OKS needs; `person_id` is the annotation's id. And how many were left out,
        by reason.

    Raises:
        MsposeError: missing, not JSON, or an entry of another form, by its position.
    """
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise MsposeError(f"{path}: not readable as JSON ({error}); download it again") from error
    try:
        names = {image["id"]: str(image["file_name"]) for image in data["images"]}
        annotations = list(data["annotations"])
        for category in data.get("categories", []):
            if category.get("name") == "person" and tuple(category["keypoints"]) != COCO17.keypoints:
                raise ValueError(f"the category person has the keypoints {category['keypoints']}, expected COCO's 17")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MsposeError(f"{path}: not in COCO's form ({type(error).__name__}: {error})") from error
    persons: list[Person] = []
    left_out: Counter[str] = Counter()
    for position, entry in enumerate(annotations):
        try:
            if entry.get("iscrowd"):
                left_out["crowd"] += 1
                continue
            person = _person(entry, names, images)
        except KeyError as error:
            raise MsposeError(f"{path}: annotation {position}: no {error}") from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MsposeError(f"{path}: annotation {position}: {error}") from error
        if person.keypoints[:, 2].any():
            persons.append(person)
        else:
            left_out["no labelled keypoint"] += 1
    return persons, left_out


def _person(entry: dict[str, Any], names: dict[Any, str], images: Path) -> Person:
    keypoints = np.array(entry["keypoints"], np.float64)
    if keypoints.shape != (3 * len(COCO17),):
        raise ValueError(f"{keypoints.size} keypoint numbers, expected {3 * len(COCO17)}")
    if entry["image_id"] not in names:
        raise ValueError(f"image_id {entry['image_id']} is no image of this file")
    name = names[entry["image_id"]]
    x, y, width, height = (float(v) for v in entry["bbox"])
    if not (width > 0 and height > 0):
        raise ValueError(f"bbox {entry['bbox']} has no size")
    # COCO's box spans x to x + width in pixel edges; its first pixel's centre is 0.5 inside
    box = (x + width / 2 - 0.5, y + height / 2 - 0.5, BOX_MARGIN * max(width, height))
    area = float(entry.get("area", width * height))
    image = photographs.inside(images, name)
    return Person(name, keypoints.reshape(-1, 3), image, box, person_id=int(entry["id"]), area=area)
