"""`mspose show` and `app`: what a network sees, to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_mspose.cli_command import Add, load_tensorflow, whole_from


def add_commands(add: Add) -> None:
    """The commands that show."""
    show = add(
        "show",
        "Draw what every stack and scale sees, before and after the regression; or several networks side by side.",
        "mspose show lsp14-small photo.jpg --out strip.png\n"
        "  mspose show lsp14-small a.jpg b.jpg --beside runs/lsp --out both.png",
        _show,
    )
    show.add_argument("model", type=Path, help="run folder, .keras file, or lsp14-small")
    show.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="photographs")
    show.add_argument("--out", type=Path, required=True, help="PNG to write")
    show.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="MODEL",
        help="another network, to compare the answers on the same photographs; may be given again",
    )
    show.add_argument("--box", help="CX,CY,SIDE or X,Y,WIDTH,HEIGHT about the person, in pixels (default: looks)")
    show.add_argument("--keypoint", metavar="NAME", help="show this keypoint's heatmaps alone")
    show.add_argument("--threshold", type=float, default=0.0, help="draw what scores above it alone (default 0)")

    app = add(
        "app",
        "A page on this machine: drop a photograph, see the skeleton and every head's heatmaps.",
        "mspose app\n  mspose app runs/lsp --port 8600",
        _app,
    )
    app.add_argument(
        "model",
        type=Path,
        nargs="?",
        default=Path("lsp14-small"),
        help="run folder, .keras file, or a released network (default lsp14-small)",
    )
    app.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    app.add_argument("--port", type=int, default=8502, help="0 takes a free one (default: %(default)s)")
    app.add_argument(
        "--max-body", type=whole_from(1), default=32, metavar="MB", help="of a photograph (default: %(default)s)"
    )


def _show(options: argparse.Namespace) -> None:
    from keras_mspose.box_text import parse_box
    from keras_mspose.saved_model import find

    box = parse_box(options.box)
    models = [options.model, *options.beside]
    for model in models:
        find(model)
    load_tensorflow()
    from keras_mspose import show_run

    show_run.show(models, options.images, options.out, box=box, keypoint=options.keypoint, threshold=options.threshold)


def _app(options: argparse.Namespace) -> None:
    from keras_mspose.saved_model import find

    find(options.model)
    load_tensorflow()
    from export.app import server

    server.serve(options.model, options.host, options.port, max_body=options.max_body << 20)
