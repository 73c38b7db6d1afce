"""The file that MPII's evaluation takes for its test set, whose joints are not public.

Its README asks for `pred` in `pred_keypoints_mpii.mat`: the annotation's `annolist` of all test images, as they stand
there, and in it, for each single person (`RELEASE.single_person`), `annorect(r).annopoints.point` with x, y in pixels
from 1 and the joint's id from 0. The evaluation wants one entry a test image, those without a single person too, and
finds persons by their place in `annorect`: nothing may be left out or moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_mspose import geometry, saved_model
from keras_mspose.errors import MsposeError
from keras_mspose.passes import PLAIN
from keras_mspose.records import RecordSet
from keras_mspose.result_file import check_writable, write_beside
from keras_mspose.skeleton import MPII16
from tfrecords_tools import matlab


@dataclass(frozen=True)
class SinglePerson:
    """A person whom the evaluation counts.

    Attributes:
        image: position of the photograph among the test images, from 0.
        rect: position in its `annorect`, from 0.
        name: of the photograph.
        person_id: as records have it: running number of the `annorect` entry in the whole annotation.
    """

    image: int
    rect: int
    name: str
    person_id: int


def read_test(path: Path) -> tuple[np.ndarray, list[SinglePerson]]:
    """Read the test images of the release, and whom the evaluation counts there.

    Args:
        path: `mpii_human_pose_v1_u12_1.mat`.

    Returns:
        `annolist` of the test images (1, N), as SciPy gives it, and the single persons in its order.

    Raises:
        MsposeError: unreadable, or not the release.
    """
    release = matlab.load(path, "RELEASE")
    names = release.dtype.names if isinstance(release, np.ndarray) else None
    lacking = {"annolist", "img_train", "single_person"} - set(names or ())
    if lacking:
        raise MsposeError(f"{path}: no {', '.join(sorted(lacking))} in RELEASE; expected MPII's annotation")
    entries, training, singles = (release[0, 0][key].ravel() for key in ("annolist", "img_train", "single_person"))
    if not len(entries) == len(training) == len(singles):
        raise MsposeError(
            f"{path}: {len(entries)} annolist, {len(training)} img_train and {len(singles)} single_person entries, "
            "expected one for one; download MPII's annotation again"
        )
    tested = np.asarray(training, float) == 0
    found, number, image = [], 0, 0
    for entry, test, single in zip(entries, tested, singles, strict=True):
        rects = entry["annorect"].size
        if test:
            try:
                name = str(entry["image"][0, 0]["name"][0])
                places = np.asarray(single, int).ravel() - 1
            except (IndexError, TypeError, ValueError) as error:
                raise MsposeError(
                    f"{path}: test image {image + 1}: {error}; download MPII's annotation again"
                ) from error
            for rect in places:
                if not 0 <= rect < rects:
                    raise MsposeError(f"{path}: {name}: single_person {rect + 1} of {rects} persons")
                found.append(SinglePerson(image, int(rect), name, number + int(rect)))
            image += 1
        number += rects
    return entries[tested][None], found


def write(path: Path, test: np.ndarray, singles: list[SinglePerson], keypoints: dict[int, np.ndarray]) -> None:
    """Write the submission.

    Args:
        test, singles: as `read_test` gives them.
        keypoints: (16, 2+) x, y in photograph pixels from 0 of each single person, by `person_id`.

    Raises:
        MsposeError: a single person has no keypoints, or none that are numbers; or the file cannot be written.
    """
    from scipy.io import savemat

    lacking = [one for one in singles if one.person_id not in keypoints]
    if lacking:
        raise MsposeError(
            f"{len(lacking)} of {len(singles)} single persons have no prediction, the first is person "
            f"{lacking[0].rect + 1} of {lacking[0].name}; convert all of MPII's test photographs"
        )
    pred = test.copy()
    for image in range(pred.shape[1]):
        pred[0, image]["annorect"] = _with_field(test[0, image]["annorect"], "annopoints")
    for one in singles:
        xy = np.asarray(keypoints[one.person_id], np.float64)[:, :2] + 1
        if xy.shape != (len(MPII16), 2) or not np.isfinite(xy).all():
            raise MsposeError(f"person {one.rect + 1} of {one.name}: expected {len(MPII16)} positions, got {xy}")
        points = np.zeros((1, len(MPII16)), [("x", "O"), ("y", "O"), ("id", "O")])
        for joint, (x, y) in enumerate(xy):
            points[0, joint] = (x, y, float(joint))
        holder = np.zeros((1, 1), [("point", "O")])
        holder[0, 0]["point"] = points
        pred[0, one.image]["annorect"].ravel()[one.rect]["annopoints"] = holder
    write_beside(path, lambda partial: savemat(partial, {"pred": pred}, appendmat=False, do_compression=True))


def submit(
    model_path: Path,
    data_path: Path,
    out: Path,
    *,
    annotation: Path | None = None,
    split: str = "test",
    flip: bool = False,
    scales: tuple[float, ...] = PLAIN,
    batch_size: int = 16,
) -> int:
    """Predict MPII's test persons and write the submission.

    Args:
        model_path: run folder or `.keras` file.
        data_path: record folder with MPII's test split.
        out: the .mat file to write.
        annotation: MPII's .mat; where None, the one that the records were made from.
        flip, scales: see `evaluation.evaluate`.

    Returns:
        How many persons were written.

    Raises:
        MsposeError: no such run, records or annotation, records that are not of that annotation, or that lack persons.
    """
    from keras_mspose.evaluation_run import with_progress

    check_writable(out)
    if out.suffix != ".mat":
        raise MsposeError(f"{out}: the submission is a MATLAB file; give a name that ends with .mat")
    saved_model.find(model_path)
    data = RecordSet.load(data_path)
    if data.skeleton.keypoints != MPII16.keypoints:
        raise MsposeError(f"{data_path}: is of {data.skeleton.name}; the submission is of MPII's test persons")
    annotation = annotation or Path(data.source)
    if annotation.suffix != ".mat" or not annotation.is_file():
        raise MsposeError(f"{annotation}: no .mat file; give MPII's annotation with --annotation")
    test, singles = read_test(annotation)
    if not singles:
        raise MsposeError(f"{annotation}: no single person in any test photograph; expected MPII's annotation")
    data.persons(split)
    model, facts = saved_model.load(model_path)
    found = with_progress(
        model, facts, data, split=split, box="record", persons=None, flip=flip, scales=scales, batch_size=batch_size
    )
    keypoints = geometry.uncrop(found.predicted[..., :2].astype(np.float64), found.origins.astype(np.float64))
    places = {int(number): place for place, number in enumerate(found.person_ids)}
    for one in singles:
        place = places.get(one.person_id)
        if place is not None and found.image_names[place] != one.name:
            raise MsposeError(
                f"{data_path}: person {one.person_id} is on {found.image_names[place]}, in {annotation.name} on "
                f"{one.name}; give the annotation that the records were made from"
            )
    write(out, test, singles, {number: keypoints[place] for number, place in places.items()})
    return len(singles)


def _with_field(rects: np.ndarray, name: str) -> np.ndarray:
    """The same structs, with a field that is empty in each; structs that have it already keep its place."""
    if rects.dtype.names is None:  # no persons at all
        return rects
    names = list(dict.fromkeys((*rects.dtype.names, name)))
    wider = np.zeros(rects.shape, [(n, "O") for n in names])
    for n in names:
        wider[n] = rects[n] if n in rects.dtype.names and n != name else None
    for i in np.ndindex(wider.shape):
        wider[i][name] = np.zeros((0, 0))
    return wider
