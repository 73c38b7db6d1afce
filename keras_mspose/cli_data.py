"""`mspose convert` and `inspect`: data sets in, and a look at them."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_mspose import cli_convert
from keras_mspose.cli_command import Add, load_tensorflow, whole_from


def add_commands(add: Add) -> None:
    """The commands about data."""
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
    inspect.add_argument(
        "--persons", type=whole_from(0), default=24, help="persons on the picture, 0 for none (default 24)"
    )
    inspect.add_argument("--json", type=Path, help="write the figures, or the findings, as JSON too")


def _inspect(options: argparse.Namespace) -> int:
    from keras_mspose.records import RecordSet

    RecordSet.load(options.folder)
    load_tensorflow()
    how = {"sheet": options.sheet, "json_path": options.json, "persons": options.persons}
    if options.verify:
        from tfrecords_tools import verification_report

        return 0 if verification_report.report(options.folder, **how) else 1
    from tfrecords_tools import inspection

    inspection.inspect(options.folder, **how)
    return 0
