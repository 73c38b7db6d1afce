"""`mspose predict`, `export` and `serve`: networks in use."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_mspose.cli_command import Add, load_tensorflow


def add_commands(add: Add) -> None:
    """The commands that use a trained network."""
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

    serve = add(
        "serve",
        "Answer requests for poses over HTTP, as TF Serving's REST interface does.",
        "mspose serve exports/lsp --port 8501",
        _serve,
    )
    serve.add_argument("model", type=Path, metavar="export", help="folder that `mspose export` wrote")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    serve.add_argument("--port", type=int, default=8501, help="0 takes a free one (default: %(default)s)")
    serve.add_argument("--threads", type=int, default=0, help="of the network (default: as many as there are cores)")
    serve.add_argument("--max-body", type=int, default=32, metavar="MB", help="of a request (default: %(default)s)")


def _predict(options: argparse.Namespace) -> None:
    from keras_mspose.saved_model import find

    find(options.model)
    load_tensorflow()
    from keras_mspose import prediction_run

    prediction_run.predict_files(options.model, options.images, options.out, box=options.box, skip_bad=options.skip_bad)


def _export(options: argparse.Namespace) -> int:
    from keras_mspose.saved_model import find

    file = find(options.model)
    load_tensorflow()
    from export.run import export_run

    report = export_run(file, options.out or file.parent / "export", options.format, overwrite=options.overwrite)
    return 0 if report["good"] else 1


def _serve(options: argparse.Namespace) -> None:
    from serving.app import Limits
    from serving.serve_run import serve

    limits = Limits(body=options.max_body << 20, bodies=max(options.max_body, 256) << 20)
    serve(options.model, options.host, options.port, threads=options.threads, limits=limits)
