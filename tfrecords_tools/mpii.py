"""MPII Human Pose (Andriluka, Pishchulin, Gehler, Schiele, CVPR 2014): which files there are, and what comes of which.

    SOURCE/images/                          the photographs
    SOURCE/mpii_human_pose_v1_u12_1.mat     the official release, `mpii_mat.py`
    SOURCE/mpii_annotations.json[.gz]       the JSON form with `isValidation`, `mpii_json.py`
    SOURCE/annot/train.json, valid.json     the JSON form of HRNet, `mpii_hrnet.py`; also without annot/, and as
                                            mpii_train.json, mpii_val.json
    SOURCE/detections_our_format.mat        head boxes of the validation split; or annot/gt_valid.mat, mpii_gt_val.mat

One of the second to the fourth is needed, and the others help: `mpii_join.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.skeleton import MPII16
from tfrecords_tools import mpii_hrnet, mpii_join, mpii_json, mpii_mat, writer
from tfrecords_tools.mpii_join import Persons

if TYPE_CHECKING:
    from typing_extensions import Unpack

MAT_NAME = "mpii_human_pose_v1_u12_1.mat"
JSON_NAMES = ("mpii_annotations.json.gz", "mpii_annotations.json")
HRNET_NAMES = (("train.json", "valid.json"), ("mpii_train.json", "mpii_val.json"))
HEADS_NAMES = ("detections_our_format.mat", "gt_valid.mat", "mpii_gt_val.mat")
FOLDERS = (".", "annot", "annotations")
STAND_IN = "0.75 * |neck - head top|"
NO_OCCLUSION = "the JSON form of HRNet knows labelled joints alone: all of them are marked visible, occluded ones too"


def convert(
    source: Path,
    out: Path,
    *,
    json: Path | Sequence[Path] | None = None,
    heads: Path | None = None,
    **how: Unpack[writer.How],
) -> RecordSet:
    """Convert MPII to a record folder with the splits `train`, `val` and `test`, as far as the files know them.

    From the .mat in `source`: a JSON form beside it says which persons are the standard validation split; without one
    all labelled persons are `train`. Persons of test photographs have a box and no keypoints. From JSON where there is
    no .mat or where `json` names files: head boxes come from the .mat for persons found in both, else, for the
    validation split, from `heads`; the others get the stand-in from neck and head top. `dataset.json` counts them.

    Args:
        source: folder with the annotation and `images`.
        out: the record folder to make.
        json: one file or several in a JSON form, to convert in place of the .mat.
        heads: head boxes of the validation split; by default the file of the names above, if there is one.
        how: `skip_bad`, `overwrite`, `crop`, `workers`, see `writer.write`. With `skip_bad` persons whose photograph is
            missing are left out, so that a part of the photographs will do.

    Raises:
        MsposeError: folder, annotation or `images` missing or of another form, files that do not belong together, or
            what `writer.write` refuses.
    """
    source = Path(source)
    if not source.is_dir():
        raise MsposeError(f"{source}: no such folder; give the one that holds {MAT_NAME} and images/")
    images = source / "images"
    if not images.is_dir():
        raise MsposeError(f"{source}: no folder images/ in it; expected MPII's photographs there")
    mat = _mat_file(source)
    given = [Path(json)] if isinstance(json, (str, Path)) else [Path(path) for path in json or ()]
    files = given or _json_files(source)
    if not mat and not files:
        raise MsposeError(f"{source}: neither {MAT_NAME} nor {JSON_NAMES[0]} in it; one of them is needed")
    if mat and not given:
        if heads:
            raise MsposeError(f"--heads {heads}: {mat.name} has head boxes of its own; --heads goes with --json")
        persons, notes = _from_mat(mat, images, files)
    else:
        persons, notes = read_json(files, images)
        # a file that lies there by chance is no reason to refuse the training persons alone
        found = _heads_file(source) if any(split == "val" for split, _ in persons) else None
        persons, notes["head_size"] = _with_heads(persons, images, mat, Path(heads) if heads else found)
    names = [path.name for path in files]
    return writer.write(
        persons,
        out,
        name="mpii",
        skeleton=MPII16,
        metric="pckh",
        source=str(mat if mat and not given else files[0] if len(files) == 1 else files[0].parent),
        options={"json": names[0] if len(names) == 1 else names or None},
        notes=notes,
        **how,
    )


def read_json(files: Sequence[Path], images: Path) -> tuple[Persons, dict[str, Any]]:
    """Read files of either JSON form; no photograph is opened.

    Returns:
        (split, person) in the files' order, and what `dataset.json` is to note about them.

    Raises:
        MsposeError: a file is missing or of neither form, or a photograph is in two splits.
    """
    persons: Persons = []
    left_out: Counter[str] = Counter()
    splits: dict[str, tuple[str, Path]] = {}
    notes: dict[str, Any] = {}
    said = []
    for path in files:
        listed = mpii_json.entries(path)
        if mpii_hrnet.is_form(next(iter(listed), None)):
            found, dropped = mpii_hrnet.read(path, images, listed)
            left_out.update(dropped)
            notes["visibility"] = NO_OCCLUSION
            said.append(f"name of {path.name}")
        else:
            found = mpii_json.read(path, images, listed)
            said.append(f"isValidation of {path.name}")
        for split, person in found:
            other, where = splits.setdefault(person.image_name, (split, path))
            if other != split:
                raise MsposeError(f"{path}: {person.image_name} is in {split} here and in {other} in {where.name}")
        persons += found
    notes["split"] = ", ".join(said)
    return persons, {**notes, **({"left_out": dict(left_out)} if left_out else {})}


def _from_mat(mat: Path, images: Path, files: Sequence[Path]) -> tuple[Persons, dict[str, Any]]:
    persons, left_out = mpii_mat.read(mat, images)
    split = f"no {JSON_NAMES[0]} beside the .mat, which does not know the validation split: every one is in train"
    if files:
        known, notes = read_json(files, images)
        split = notes["split"]
        persons, strangers = mpii_join.standard_split(persons, known)
        left_out |= strangers
    return persons, {"split": split, **({"left_out": left_out} if left_out else {})}


def _with_heads(persons: Persons, images: Path, mat: Path | None, heads: Path | None) -> tuple[Persons, dict[str, int]]:
    """The persons with what head boxes there are, and how many head sizes come from where."""
    counts: dict[str, int] = {}
    if mat:
        persons, counts[f"head box of {mat.name}"] = mpii_join.lend(persons, mpii_mat.read(mat, images)[0])
    if heads:
        persons, counts[f"head box of {heads.name}"] = mpii_join.validation_heads(persons, heads)
    counts[STAND_IN] = sum(person.head_size_estimated for _, person in persons)
    counts["none"] = sum(person.head_size == 0 for _, person in persons)
    return persons, {what: count for what, count in counts.items() if count}


def _mat_file(source: Path) -> Path | None:
    found = sorted(source.glob("mpii_human_pose*.mat"))
    if source / MAT_NAME in found or not found:
        return source / MAT_NAME if found else None
    if len(found) > 1:
        raise MsposeError(f"{source}: several MPII files: {', '.join(p.name for p in found)}; leave one of them")
    return found[0]


def _json_files(source: Path) -> list[Path]:
    for name in JSON_NAMES:
        if (source / name).is_file():
            return [source / name]
    for folder in FOLDERS:
        for names in HRNET_NAMES:
            found = [source / folder / name for name in names if (source / folder / name).is_file()]
            if found:
                return found
    return []


def _heads_file(source: Path) -> Path | None:
    paths = (source / folder / name for name in HEADS_NAMES for folder in FOLDERS)
    return next((path for path in paths if path.is_file()), None)
