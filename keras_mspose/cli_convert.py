"""`mspose convert`: one sub-command a data set, each with the options that its files need."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keras_mspose.cli_command import whole_from
from keras_mspose.errors import MsposeError

if TYPE_CHECKING:
    from keras_mspose.records import RecordSet
    from tfrecords_tools.writer import How

METRICS = ("pckh", "pck", "pck_box")  # those of `records`, which the command's help is too quick to load


def add_data_sets(convert: argparse.ArgumentParser) -> None:
    """Give the command `convert` its data sets. Loads neither TensorFlow nor a converter."""
    data_sets = convert.add_subparsers(dest="dataset", required=True, metavar="DATA_SET")

    def add(
        name: str, about: str, example: str, run: Callable[[argparse.Namespace], RecordSet], *, source: str | None
    ) -> argparse.ArgumentParser:
        command = data_sets.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if source:
            command.add_argument("source", type=Path, metavar="SOURCE", help=source)
        command.add_argument("--out", type=Path, required=True, help="record folder to write")
        command.add_argument("--overwrite", action="store_true", help="replace the record folder that is there")
        if source:
            command.add_argument("--skip-bad", action="store_true", help="leave out broken images, counted and named")
            command.add_argument(
                "--crop",
                type=int,
                metavar="PIXELS",
                help="write person crops, the person box so many pixels large, instead of whole photographs: quicker "
                "training from smaller files; about 1.5 times the network's input",
            )
            command.add_argument(
                "--crop-margin", type=float, help="side of the crop over that of the box (default 1.5)"
            )
            command.add_argument(
                "--workers", type=whole_from(1), help="threads that read photographs (default: one a core)"
            )
        # without a default of its own: it would undo `mspose convert --debug lsp`
        command.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )

        def converted(options: argparse.Namespace) -> None:
            run(options)

        command.set_defaults(run=converted)
        return command

    custom = add(
        "custom",
        "Your own keypoints: a CSV or JSON-lines file, a skeleton file and photographs (docs/own-data.md).",
        "mspose convert custom HANDS --out data/hands --val-share 0.1",
        _custom,
        source="folder with persons.csv (or .jsonl), skeleton.yaml (or .json) and images/",
    )
    custom.add_argument("--persons", type=Path, metavar="FILE", help="the persons, where they lie elsewhere")
    custom.add_argument(
        "--skeleton", type=Path, metavar="FILE", help="the skeleton, where it lies elsewhere; or a known one: coco17"
    )
    custom.add_argument("--images", type=Path, metavar="DIR", help="the photographs, where they lie elsewhere")
    custom.add_argument("--one-based", action="store_true", help="pixels count from 1, as in MATLAB (default: from 0)")
    custom.add_argument(
        "--val-share", type=float, metavar="SHARE", help="draw this share of the photographs for the split val"
    )
    custom.add_argument("--seed", type=int, default=0, help="of that draw (default 0)")
    custom.add_argument(
        "--metric", choices=METRICS, help="default: pckh with head sizes, pck with a torso, else pck_box"
    )

    lsp = add(
        "lsp",
        "Leeds Sports Pose, and Leeds Sports Pose Extended: 14 keypoints.",
        "mspose convert lsp LSPET --out data/lsp --split 1-9000:train,9001-10000:val",
        _lsp,
        source="folder with joints.mat and images/",
    )
    lsp.add_argument("--split", help="ranges of person numbers, such as 1-900:train,901-1000:val")

    mpii = add(
        "mpii",
        "MPII Human Pose, from the .mat or from JSON: 16 keypoints.",
        "mspose convert mpii MPII --out data/mpii",
        _mpii,
        source="folder with mpii_human_pose_v1_u12_1.mat (or JSON) and images/",
    )
    mpii.add_argument(
        "--json",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="convert these JSON files, of either form, and take from the .mat only what they lack",
    )
    mpii.add_argument(
        "--heads", type=Path, metavar="FILE", help="head boxes of the validation split, as detections_our_format.mat"
    )

    add(
        "flic",
        "Frames Labeled In Cinema: 11 keypoints of upper bodies.",
        "mspose convert flic FLIC --out data/flic",
        _flic,
        source="folder with examples.mat and images/",
    )
    add(
        "coco",
        "COCO's person keypoints: 17.",
        "mspose convert coco COCO --out data/coco",
        _coco,
        source="folder with annotations/, train2017/ and val2017/",
    )
    synthetic = add(
        "synthetic",
        "Rendered persons, without any download: 16 keypoints.",
        "mspose convert synthetic --out data/synthetic --persons 3000",
        _synthetic,
        source=None,
    )
    synthetic.add_argument("--persons", type=int, default=3000, help="training persons (default 3000)")
    synthetic.add_argument("--seed", type=int, default=0, help="of the persons (default 0)")


def _how(options: argparse.Namespace) -> How:
    from tfrecords_tools.cropping import Crop

    if options.crop is None and options.crop_margin is not None:
        raise MsposeError("--crop-margin: is of --crop; give that too, or leave it out")
    margin = {} if options.crop_margin is None else {"margin": options.crop_margin}
    crop = None if options.crop is None else Crop(options.crop, **margin)
    return {"skip_bad": options.skip_bad, "overwrite": options.overwrite, "crop": crop, "workers": options.workers}


def _custom(options: argparse.Namespace) -> RecordSet:
    from tfrecords_tools import custom

    return custom.convert(
        options.source,
        options.out,
        persons=options.persons,
        skeleton=options.skeleton,
        images=options.images,
        one_based=options.one_based,
        val_share=options.val_share,
        seed=options.seed,
        metric=options.metric,
        **_how(options),
    )


def _lsp(options: argparse.Namespace) -> RecordSet:
    from tfrecords_tools import lsp

    return lsp.convert(options.source, options.out, split=options.split, **_how(options))


def _mpii(options: argparse.Namespace) -> RecordSet:
    from tfrecords_tools import mpii

    return mpii.convert(options.source, options.out, json=options.json, heads=options.heads, **_how(options))


def _flic(options: argparse.Namespace) -> RecordSet:
    from tfrecords_tools import flic

    return flic.convert(options.source, options.out, **_how(options))


def _coco(options: argparse.Namespace) -> RecordSet:
    from tfrecords_tools import coco

    return coco.convert(options.source, options.out, **_how(options))


def _synthetic(options: argparse.Namespace) -> RecordSet:
    from tfrecords_tools import synthetic

    return synthetic.convert(options.out, persons=options.persons, seed=options.seed, overwrite=options.overwrite)
