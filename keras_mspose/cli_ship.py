"""`mspose predict`, `export`, `verify` and `serve`: networks in use."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_mspose.cli_command import Add, load_tensorflow, whole_from
from keras_mspose.errors import MsposeError

FORMATS, WEB = ("savedmodel", "tflite", "onnx"), "web"
PRECISIONS = ("float32", "float16", "dynamic", "int8")


def add_commands(add: Add) -> None:
    """The commands that use a trained network."""
    predict = add(
        "predict",
        "Find the pose of the person in each photograph.",
        "mspose predict lsp14-small photo.jpg --out poses",
        _predict,
    )
    predict.add_argument(
        "model",
        type=Path,
        help="run folder, .keras file, lsp14-small, exported folder, SavedModel, .tflite or .onnx file",
    )
    predict.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="photographs, folders of them, patterns such as 'a/**/*.jpg', videos, or the number of a webcam",
    )
    predict.add_argument("--out", type=Path, required=True, help="folder for keypoints and what is drawn")
    where = predict.add_mutually_exclusive_group()
    where.add_argument(
        "--box",
        help="about the person, CX,CY,SIDE or X,Y,WIDTH,HEIGHT in pixels (default: the whole image, and closer)",
    )
    where.add_argument(
        "--boxes",
        type=Path,
        metavar="JSON",
        help="{name: [[x, y, width, height], ...]}, or COCO annotations or results",
    )
    where.add_argument("--detector", metavar="NAME", help="where the persons are: hog, or MODULE:FUNCTION of yours")
    predict.add_argument("--looks", type=int, help="passes over each person (default: 1 in a box, 3 without)")
    predict.add_argument("--flip", action="store_true", help="average with the mirrored crop, at twice the time")
    predict.add_argument(
        "--pictures",
        choices=("png", "jpg", "none"),
        default="png",
        help="drawn photographs (default png); none: no video",
    )
    predict.add_argument("--no-smoothing", action="store_true", help="of a video's keypoints")
    predict.add_argument("--frames", type=int, help="of each video and webcam, at most")
    predict.add_argument("--strict", action="store_true", help="stop at the first file that cannot be read")
    predict.add_argument("--workers", type=int, help="threads (default: as many as there are cores)")
    predict.add_argument(
        "--overwrite", action="store_true", help="begin anew over another command's unfinished results"
    )

    export = add(
        "export",
        "Write the inference network for servers, phones and browsers, and check it against Keras.",
        "mspose export runs/lsp --data data/lsp --out exports/lsp",
        _export,
    )
    export.add_argument("model", type=Path, metavar="run", help="run folder, .keras file, or lsp14-small")
    export.add_argument(
        "--format", nargs="+", choices=(*FORMATS, WEB), default=list(FORMATS), help=f"default: {' '.join(FORMATS)}"
    )
    export.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=["float32"], help="of TFLite and ONNX (default float32)"
    )
    export.add_argument(
        "--data", type=Path, help="record folder: int8 is calibrated on its training crops, all is compared on others"
    )
    export.add_argument("--out", type=Path, help="folder to write (default: export/ beside the run's network)")
    export.add_argument("--name", help="of the model, for TF Serving (default: the run's own)")
    export.add_argument("--flip", action="store_true", help="SavedModel, serve: average with the mirrored photograph")
    export.add_argument(
        "--looks", type=int, default=3, help="of them over a photograph without a box (default 3 passes)"
    )
    export.add_argument(
        "--onnxruntime-web",
        type=Path,
        metavar="FOLDER",
        help="for --format web: folder of that npm package (default: fetched once by npm, then kept in the cache)",
    )
    export.add_argument("--overwrite", action="store_true", help="replace an earlier export")

    verify = add(
        "verify",
        "Measure every file of an export on persons: size, speed, difference from Keras, accuracy.",
        "mspose verify exports/lsp --data data/lsp --html verify.html",
        _verify,
    )
    verify.add_argument("export", type=Path, metavar="EXPORT", help="folder that mspose export wrote")
    verify.add_argument("--data", type=Path, required=True, help="record folder")
    verify.add_argument("--split", help="default: the run's validation split")
    verify.add_argument("--persons", type=int, help="the first so many alone (default: all)")
    verify.add_argument("--box", choices=("record", "joints", "image"), help="person box (default: the run's own)")
    verify.add_argument("--only", nargs="+", metavar="TEXT", help="files alone whose path has one of these in it")
    verify.add_argument("--calls", type=int, default=100, help="timed calls of a file and thread count (default 100)")
    verify.add_argument("--json", type=Path, help="write the figures at full precision")
    verify.add_argument("--html", type=Path, help="write them as a page")

    serve = add(
        "serve",
        "Answer requests for poses over HTTP, as TF Serving's REST interface does.",
        "mspose serve exports/lsp --port 8501",
        _serve,
    )
    serve.add_argument("model", type=Path, metavar="export", help="folder that `mspose export` wrote")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    serve.add_argument("--port", type=int, default=8501, help="0 takes a free one (default: %(default)s)")
    serve.add_argument(
        "--threads", type=whole_from(0), default=0, help="of the network (default: as many as there are cores)"
    )
    serve.add_argument(
        "--max-body", type=whole_from(1), default=32, metavar="MB", help="of a request (default: %(default)s)"
    )


def _predict(options: argparse.Namespace) -> None:
    from keras_mspose.prediction_run import predict_files

    predict_files(
        options.model,
        options.images,
        options.out,
        box=options.box,
        boxes=options.boxes,
        detector=options.detector,
        looks=options.looks,
        flip=options.flip,
        smooth=not options.no_smoothing,
        pictures=options.pictures,
        frames=options.frames,
        strict=options.strict,
        workers=options.workers,
        overwrite=options.overwrite,
    )


def _export(options: argparse.Namespace) -> int:
    from keras_mspose.saved_model import WEIGHTS, find

    file = find(options.model)
    if options.out is None and file.resolve().parent == WEIGHTS.resolve():
        raise MsposeError(f"{options.model}: a released network lies in the package; give --out, the folder to write")
    load_tensorflow()
    from export.run import export_run

    report = export_run(
        file,
        options.out or file.parent / "export",
        options.format,
        precisions=options.precision,
        data=options.data,
        name=options.name,
        flip=options.flip,
        looks=options.looks,
        web_runtime=options.onnxruntime_web,
        overwrite=options.overwrite,
    )
    return 0 if report["good"] else 1


def _verify(options: argparse.Namespace) -> int:
    from export.index import read_index

    read_index(options.export)
    load_tensorflow()
    from export.verify_run import verify_export

    report = verify_export(
        options.export,
        options.data,
        split=options.split,
        persons=options.persons,
        box=options.box,
        only=options.only,
        calls=options.calls,
        json_path=options.json,
        html_path=options.html,
    )
    return 0 if report["good"] else 1


def _serve(options: argparse.Namespace) -> None:
    from export.serving.app import Limits
    from export.serving.serve_run import serve

    limits = Limits(body=options.max_body << 20, bodies=max(options.max_body, 256) << 20)
    serve(options.model, options.host, options.port, threads=options.threads, limits=limits)
