"""`mspose evaluate`, `score`, `compare` and `submit`: how right predictions are."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_mspose.cli_command import Add, load_tensorflow, whole_from
from keras_mspose.errors import MsposeError


def add_commands(add: Add) -> None:
    """The commands that measure."""
    evaluate = add(
        "evaluate",
        "Measure a network on a split: per joint, per group, and every supervised head.",
        "mspose evaluate runs/lsp --data data/lsp --flip --json accuracy.json --report report",
        _evaluate,
    )
    evaluate.add_argument("model", type=Path, help="run folder, .keras file, or lsp14-small")
    evaluate.add_argument("--data", type=Path, required=True, help="record folder")
    evaluate.add_argument("--split", help="default: the run's validation split")
    evaluate.add_argument(
        "--box",
        choices=("record", "joints", "image"),
        help="person box; by default the run's own, and where the data has no boxes both joints and image",
    )
    evaluate.add_argument("--flip", action="store_true", help="average with the mirrored crop")
    evaluate.add_argument(
        "--looks", type=int, default=1, help="passes, each over a box about what the one before found (default 1)"
    )
    evaluate.add_argument(
        "--choices",
        action="store_true",
        help="also every decoding, with and without flip test and scales, and their gain",
    )
    _add_scales(evaluate)
    evaluate.add_argument("--persons", type=whole_from(1), help="the first so many alone")
    evaluate.add_argument("--batch", type=whole_from(1), default=16, help="persons at a time (default 16)")
    evaluate.add_argument("--json", type=Path, help="write the figures at full precision")
    evaluate.add_argument(
        "--predictions", type=Path, help="write every person's keypoints in photograph pixels, with the truth, as JSON"
    )
    evaluate.add_argument("--report", type=Path, help="folder to make: a page with charts and persons, PNG files, JSON")
    evaluate.add_argument("--overwrite", action="store_true", help="replace an earlier report")

    score = add(
        "score",
        "Score predictions that anyone made, by the rules that papers follow: .h5, .mat, .json.",
        "mspose score hourglass_val_predictions.h5 --truth detections_our_format.mat --protocol bearpaw",
        _score,
    )
    score.add_argument("predictions", type=Path, help=".h5 (preds), .mat (pos_pred_src), our .json, or COCO results")
    score.add_argument(
        "--truth", type=Path, help="detections_our_format.mat, or COCO annotation; none where our .json holds its own"
    )
    score.add_argument("--protocol", choices=("mpii", "bearpaw", "hrnet"), help="whose rules of PCKh (default mpii)")
    score.add_argument("--all-protocols", action="store_true", help="all of them, and where they differ")
    score.add_argument("--threshold", type=float, help="in reference lengths (default 0.5 head sizes, 0.2 torsos)")
    score.add_argument("--first-pixel", type=int, choices=(0, 1), help="from where the predictions count pixels")
    score.add_argument(
        "--between", nargs=2, metavar="KEYPOINT", help="of our .json: PCK over the distance of these two keypoints"
    )
    score.add_argument("--visibility", type=Path, help="mpii_annotations.json.gz, for the paper's occlusion experiment")
    score.add_argument("--json", type=Path, help="write the figures at full precision")

    compare = add(
        "compare",
        "Two networks on the same persons: the difference of every joint, and how much of it may be chance.",
        "mspose compare a.json b.json   (both from mspose evaluate --predictions)",
        _compare,
    )
    compare.add_argument("a", type=Path, metavar="A", help="file of mspose evaluate --predictions")
    compare.add_argument("b", type=Path, metavar="B", help="another, of the same persons")
    compare.add_argument("--seed", type=whole_from(0), default=0, help="of the bootstrap (default 0)")
    compare.add_argument("--json", type=Path, help="write the figures at full precision")

    submit = add(
        "submit",
        "Write the file that MPII's evaluation takes for its test set.",
        "mspose submit runs/mpii --data data/mpii --flip --out pred_keypoints_mpii.mat",
        _submit,
    )
    submit.add_argument("model", type=Path, help="run folder or .keras file, trained on MPII's 16 joints")
    submit.add_argument("--data", type=Path, required=True, help="record folder with MPII's test split")
    submit.add_argument("--out", type=Path, required=True, help="the .mat file to write")
    submit.add_argument(
        "--annotation", type=Path, help="mpii_human_pose_v1_u12_1.mat (default: what the records were made from)"
    )
    submit.add_argument("--split", default="test", help="default test")
    submit.add_argument("--flip", action="store_true", help="average with the mirrored crop")
    _add_scales(submit)
    submit.add_argument("--batch", type=whole_from(1), default=16, help="persons at a time (default 16)")


def _add_scales(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--scales",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="SIZE",
        help="average over crops that show the person in these sizes, such as 0.9 1 1.1 (default 1)",
    )


def _evaluate(options: argparse.Namespace) -> None:
    if options.overwrite and options.report is None:
        raise MsposeError("--overwrite: is of an earlier --report; give that too, or leave it out")
    from keras_mspose.saved_model import find

    find(options.model)
    load_tensorflow()
    from keras_mspose import evaluation_run

    evaluation_run.evaluate_run(
        options.model,
        options.data,
        split=options.split,
        box=options.box,
        flip=options.flip,
        scales=tuple(options.scales),
        looks=options.looks,
        persons=options.persons,
        batch_size=options.batch,
        json_path=options.json,
        predictions_path=options.predictions,
        report_path=options.report,
        overwrite=options.overwrite,
        choices=options.choices,
    )


def _score(options: argparse.Namespace) -> None:
    from keras_mspose.score_run import score_file

    visibility = None
    if options.visibility is not None:
        import numpy as np

        from tfrecords_tools import mpii_json

        persons = mpii_json.read(options.visibility)
        visibility = np.array([person.keypoints for split, person in persons if split == "val"])
    score_file(
        options.predictions,
        options.truth,
        protocol=options.protocol,
        all_protocols=options.all_protocols,
        threshold=options.threshold,
        first_pixel=options.first_pixel,
        between=options.between,
        visibility=visibility,
        json_path=options.json,
    )


def _compare(options: argparse.Namespace) -> None:
    from keras_mspose.compare_run import compare_files

    compare_files(options.a, options.b, seed=options.seed, json_path=options.json)


def _submit(options: argparse.Namespace) -> None:
    from keras_mspose.saved_model import find

    find(options.model)
    load_tensorflow()
    from tfrecords_tools import mpii_submission

    count = mpii_submission.submit(
        options.model,
        options.data,
        options.out,
        annotation=options.annotation,
        split=options.split,
        flip=options.flip,
        scales=tuple(options.scales),
        batch_size=options.batch,
    )
    print(f"{options.out}: {count} persons")
