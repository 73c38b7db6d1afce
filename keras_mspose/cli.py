"""The `mspose` command: its arguments, and nothing else. What a subcommand needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from keras_mspose import __version__, cli_convert
from keras_mspose.errors import MsposeError


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        0; 1 where an export is outside its tolerance or a record folder is broken; 2 after bad input, said in one line
        on stderr (with `--debug`, the traceback).
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except MsposeError as error:
        if options.debug:
            raise
        print(f"mspose {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"mspose {options.command}: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mspose", description="Train, measure and ship single-person 2D pose networks with Keras."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, about: str, example: str, run: Callable[[argparse.Namespace], int | None] | None
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(run=run)
        return command

    demo = add(
        "demo",
        "Draw persons, train on them, measure, export, and show all of it on one page; needs no data.",
        "mspose demo --out mspose_demo",
        _demo,
    )
    demo.add_argument(
        "--out", type=Path, default=Path("mspose_demo"), help="folder to work in (default mspose_demo); goes on there"
    )
    demo.add_argument("--seed", type=int, default=0, help="of the persons and of the training")

    convert = add(
        "convert",
        "Turn a data set as downloaded, or your own keypoints, into a record folder.",
        "mspose convert lsp LSPET --out data/lsp\n  mspose convert lsp --help",
        None,
    )
    cli_convert.add_data_sets(convert)

    inspect = add(
        "inspect",
        "Count what a record folder holds and draw persons as training sees them; or read all of it again for faults.",
        "mspose inspect data/lsp --sheet lsp.png --json lsp.json\n  mspose inspect data/lsp --verify",
        _inspect,
    )
    inspect.add_argument("folder", type=Path, help="record folder")
    inspect.add_argument(
        "--verify",
        action="store_true",
        help="check every file, record, photograph and keypoint, and draw the worst suspects; 1 if any is broken",
    )
    inspect.add_argument(
        "--sheet", type=Path, help="picture to write (default: FOLDER.png, or FOLDER-suspects.png, beside the folder)"
    )
    inspect.add_argument("--persons", type=int, default=24, help="persons on the picture, 0 for none (default 24)")
    inspect.add_argument("--json", type=Path, help="write the figures, or the findings, as JSON too")

    info = add("info", "Print what a preset costs.", "mspose info paper --batch 16", _info)
    info.add_argument("preset", choices=("paper", "large", "small", "tiny"))
    info.add_argument("--batch", type=int, default=16, help="batch size of the training step (default 16)")
    info.add_argument("--keypoints", type=int, default=16, help="keypoints of the skeleton (default 16)")

    train = add(
        "train",
        "Train a network; the same command goes on after a stop.",
        "mspose train lsp_small --data data/lsp --out runs/lsp --set training.epochs=6",
        _train,
    )
    train.add_argument("recipe", help="a shipped recipe's name, or a .yaml file")
    train.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        help="record folder; more than once to train on several together, validated on the first",
    )
    train.add_argument("--out", type=Path, required=True, help="run folder")
    train.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change the recipe")
    train.add_argument("--devices", help="such as GPU:0,GPU:1 (default: all GPUs, else the CPU)")

    evaluate = add(
        "evaluate",
        "Measure a network on a split: per joint, per group, and every supervised head.",
        "mspose evaluate runs/lsp --data data/lsp --flip --json accuracy.json",
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
        "--choices", action="store_true", help="also every decoding, with and without the flip test, and their gain"
    )
    evaluate.add_argument("--batch", type=int, default=16)
    evaluate.add_argument("--json", type=Path, help="write the figures at full precision")
    evaluate.add_argument(
        "--predictions", type=Path, help="write every person's keypoints in photograph pixels, with the truth, as JSON"
    )

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
    score.add_argument(
        "--protocol", choices=("mpii", "bearpaw", "hrnet"), default="mpii", help="whose rules (default mpii)"
    )
    score.add_argument("--all-protocols", action="store_true", help="all of them, and where they differ")
    score.add_argument("--threshold", type=float, default=0.5, help="in head sizes (default 0.5)")
    score.add_argument("--first-pixel", type=int, choices=(0, 1), help="from where the predictions count pixels")
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
    compare.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    compare.add_argument("--json", type=Path, help="write the figures at full precision")

    predict = add(
        "predict",
        "Find the pose of the person in each photograph.",
        "mspose predict lsp14-small photo.jpg --out poses",
        _predict,
    )
    predict.add_argument("model", type=Path, help="run folder, .keras file, or lsp14-small")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="photographs, or folders of them")
    predict.add_argument("--out", type=Path, required=True, help="folder for keypoints.json and the drawn pictures")
    predict.add_argument("--box", help="square about the person as CX,CY,SIDE in pixels (default: the whole image)")
    predict.add_argument("--skip-bad", action="store_true", help="leave out unreadable files, counted and named")

    export = add(
        "export",
        "Write the inference network for servers, phones and browsers, and check it against Keras.",
        "mspose export runs/lsp --format savedmodel tflite onnx --out exports/lsp",
        _export,
    )
    export.add_argument("model", type=Path, metavar="run", help="run folder or .keras file")
    export.add_argument(
        "--format", nargs="+", choices=("savedmodel", "tflite", "onnx"), default=["savedmodel", "tflite", "onnx"]
    )
    export.add_argument("--out", type=Path, help="folder to write (default: export/ beside the network)")
    export.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    return parser


def _load_tensorflow() -> None:
    from keras_mspose.quiet import import_tensorflow

    import_tensorflow()


def _demo(options: argparse.Namespace) -> int:
    from keras_mspose.demo_folder import DemoFolder

    folder = DemoFolder.claim(options.out, seed=options.seed)  # refuses what it must before TensorFlow's long import
    _load_tensorflow()
    from export.run import export_run
    from keras_mspose.demo import run_demo
    from tfrecords_tools import synthetic

    run_demo(folder, render=synthetic.convert, export=export_run)
    return 0 if folder.figures["export"]["good"] else 1


def _inspect(options: argparse.Namespace) -> int:
    from keras_mspose.records import RecordSet

    RecordSet.load(options.folder)
    _load_tensorflow()
    how = {"sheet": options.sheet, "json_path": options.json, "persons": options.persons}
    if options.verify:
        from tfrecords_tools import verification_report

        return 0 if verification_report.report(options.folder, **how) else 1
    from tfrecords_tools import inspection

    inspection.inspect(options.folder, **how)
    return 0


def _info(options: argparse.Namespace) -> None:
    _load_tensorflow()
    from keras_mspose import tables
    from keras_mspose.config import PRESETS
    from keras_mspose.info import cost
    from keras_mspose.model import build_model, inference_model

    model = build_model(PRESETS[options.preset], options.keypoints)
    tables.print_cost(options.preset, cost(model, inference_model(model)), options.batch)


def _train(options: argparse.Namespace) -> None:
    from keras_mspose.config import load_recipe
    from keras_mspose.records import RecordSet

    config, data = load_recipe(options.recipe, options.set), [RecordSet.load(folder) for folder in options.data]
    _load_tensorflow()
    from keras_mspose.training import train

    best = train(config, data, options.out, devices=options.devices.split(",") if options.devices else None)
    print(f"trained: {best}\nmeasure it: mspose evaluate {options.out} --data {options.data[0]}")


def _evaluate(options: argparse.Namespace) -> None:
    from keras_mspose.saved_model import find

    find(options.model)
    _load_tensorflow()
    from keras_mspose import evaluation_run

    evaluation_run.evaluate_run(
        options.model,
        options.data,
        split=options.split,
        box=options.box,
        flip=options.flip,
        looks=options.looks,
        batch_size=options.batch,
        json_path=options.json,
        predictions_path=options.predictions,
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
        visibility=visibility,
        json_path=options.json,
    )


def _compare(options: argparse.Namespace) -> None:
    from keras_mspose.compare_run import compare_files

    compare_files(options.a, options.b, seed=options.seed, json_path=options.json)


def _predict(options: argparse.Namespace) -> None:
    from keras_mspose.saved_model import find

    find(options.model)
    _load_tensorflow()
    from keras_mspose import prediction_run

    prediction_run.predict_files(options.model, options.images, options.out, box=options.box, skip_bad=options.skip_bad)


def _export(options: argparse.Namespace) -> int:
    from keras_mspose.saved_model import find

    file = find(options.model)
    _load_tensorflow()
    from export.run import export_run

    report = export_run(file, options.out or file.parent / "export", options.format, overwrite=options.overwrite)
    return 0 if report["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
