"""What `mspose demo` does, stage by stage: render, train, measure, compare, export, show.

Rendering lives in tfrecords_tools and exporting in export; both use this package, so it must not import them. The
command line, which may, hands their functions in.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from keras_mspose import run_log, saved_model
from keras_mspose.cores import own_cores
from keras_mspose.demo_folder import RECIPE, DemoFolder
from keras_mspose.records import INDEX_NAME, RecordSet
from keras_mspose.report import render_page
from keras_mspose.result_file import write_text

if TYPE_CHECKING:
    import keras

    from keras_mspose.evaluation import Evaluation

PAGE = "index.html"
FORMATS = ("savedmodel", "tflite", "onnx")
PRECISION = "float32"
FILE = f"model_{PRECISION}"  # of every format
STAGES = 6


def run_demo(folder: DemoFolder, *, render: Callable[..., RecordSet], export: Callable[..., dict]) -> Path:
    """Go through all stages; those that an earlier call finished are kept.

    Args:
        folder: the claimed folder.
        render: `tfrecords_tools.synthetic.convert`, or another that takes the same arguments.
        export: `export.run.export_run`, likewise.

    Returns:
        Path of the page. `folder.figures` holds the figures, `folder.figures["export"]["good"]` whether every exported
        format answers as Keras does.

    Raises:
        MsposeError: something in the folder is broken, or it cannot be written.
    """
    data = _render(folder, render)
    _train(folder, data)
    found = _evaluate(folder)
    _baseline(folder, data, found)
    _export(folder, export)
    page = _show(folder, data, found)
    accuracy, baseline = folder.figures["accuracy"], folder.figures["baseline"]
    name = f"{accuracy['metric']}@{accuracy['threshold']:g}"
    folder.console.print(f"\n{name} on {found.accuracy.persons['counted']} unseen persons: {accuracy['mean']:.1f}")
    folder.console.print(f"every joint at its mean position: {baseline['mean']:.1f}\nthe page: {page}")
    return page


def _render(folder: DemoFolder, render: Callable[..., RecordSet]) -> RecordSet:
    settings = folder.figures["settings"]
    persons = {key: settings[key] for key in ("persons", "val_persons", "seed")}
    total = settings["persons"] + settings["val_persons"]
    with folder.stage("render", f"1/{STAGES}  rendering {total:,} persons") as stage:
        stage["kept"] = (folder.data / INDEX_NAME).is_file()  # the record folder appears whole or not at all
        return RecordSet.load(folder.data) if stage["kept"] else render(folder.data, **persons)


def _train(folder: DemoFolder, data: RecordSet) -> None:
    from keras_mspose import training

    epochs = folder.config.training.epochs
    with folder.stage("train", f"2/{STAGES}  training {RECIPE} for {epochs} epochs") as stage:
        done = len(run_log.read_log(folder.run))
        if done:
            stage["note"] = f"stopped and taken up again after epoch {done}"
            if "train" not in folder.figures["stages"]:  # the process was killed: nobody wrote its time down
                stage["note"] += "; the time before that is not counted"
        before = _newest(folder)
        # Also with a full log: the last epoch's row is written before its network and its checkpoint.
        training.train(folder.config, data, folder.run)
        if before and _newest(folder) == before:
            stage |= {"kept": True, "note": ""}


def _newest(folder: DemoFolder) -> str | None:
    """The run's newest checkpoint."""
    import tensorflow as tf

    return tf.train.latest_checkpoint(str(folder.run / "checkpoints"))


def _evaluate(folder: DemoFolder) -> Evaluation:
    from keras_mspose.evaluation_run import evaluate_run

    with folder.stage("evaluate", f"3/{STAGES}  measuring on persons that it never saw"):
        found = evaluate_run(folder.run, folder.data)[0]
        folder.figures["accuracy"] = found.to_dict()
    return found


def _baseline(folder: DemoFolder, data: RecordSet, found: Evaluation) -> None:
    from keras_mspose.baseline import mean_pose_accuracy, read_labels

    with folder.stage("baseline", f"4/{STAGES}  scoring every joint at its mean position"):
        train = read_labels(data, folder.config.data.train_split, found.box)
        measured = read_labels(data, found.split, found.box)
        folder.figures["baseline"] = mean_pose_accuracy(train, measured, data).to_dict()


def _export(folder: DemoFolder, export: Callable[..., dict]) -> None:
    network = saved_model.find(folder.run)
    with folder.stage("export", f"5/{STAGES}  exporting {', '.join(FORMATS)}") as stage:
        report = _earlier_export(folder.export, network)
        stage["kept"] = report is not None
        if report is None:
            how = {"precisions": [PRECISION], "data": folder.data, "overwrite": True}
            report = export(network, folder.export, FORMATS, **how)
        folder.figures["export"] = {**report, "compared": report["compared"]["crops"]}
        folder.figures["formats"] = [{"name": name, **report["formats"][name][FILE]} for name in FORMATS]


def _earlier_export(folder: Path, network: Path) -> dict | None:
    """What `export.json` says, if it is whole and not older than the network."""
    index = folder / "export.json"
    try:
        if index.stat().st_mtime < network.stat().st_mtime:
            return None
        report = json.loads(index.read_text(encoding="utf-8"))
        return report if all(FILE in report["formats"][name] for name in FORMATS) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _show(folder: DemoFolder, data: RecordSet, found: Evaluation) -> Path:
    from keras_mspose import gallery

    page = folder.path / PAGE
    model, facts = saved_model.load(folder.run)
    with folder.stage("show", f"6/{STAGES}  drawing persons and heatmaps"):
        shown = gallery.choose(found, data)
        typical = [one.place for one in shown if one.group != "worst"]
        places = [*typical[:: max(1, len(typical) // 3)][:3], *[one.place for one in shown[-1:]]]
        sheet = gallery.draw_sheet(found, data, shown)
        strips = gallery.draw_strips(model, facts, data, found, list(dict.fromkeys(places)))
        folder.figures |= _facts(folder, data, model)
        folder.figures["persons"] = [asdict(one) for one in shown]
    folder.figures["finished"] = True
    # The page shows its own stage's time too, so it is written when that is known.
    write_text(page, render_page(folder.figures, sheet, strips))
    folder.save()
    return page


def _facts(folder: DemoFolder, data: RecordSet, model: keras.Model) -> dict:
    """What the page says beside the measurements: sizes, curves, machine, versions, commands."""
    import keras
    import tensorflow as tf

    from keras_mspose import __version__, objective

    key = objective.val_key(model, data.metric)
    split, val = folder.config.data.train_split, folder.config.data.val_split
    return {
        "network": {
            "parameters": model.count_params(),
            "heads": {name: list(model.output[name].shape[1:3]) for name in model.output_names},
        },
        "data": {
            "train": data.persons(split),
            "val": data.persons(val),
            "unscored": list(data.skeleton.unscored),
        },
        "epochs": [
            {
                "epoch": int(row["epoch"]) + 1,
                "loss": float(row["loss"]),
                "val_loss": float(row["val_loss"]),
                "val_accuracy": float(row[key]),
            }
            for row in run_log.read_log(folder.run)
        ],
        "machine": {
            "system": platform.platform(terse=True),
            "cores": len(own_cores()),
            "gpus": len(tf.config.list_physical_devices("GPU")),
        },
        "versions": {
            "keras_mspose": __version__,
            "Python": sys.version.split()[0],
            "TensorFlow": tf.__version__,
            "Keras": keras.__version__,
        },
        "commands": _commands(folder),
    }


def _commands(folder: DemoFolder) -> list[str]:
    """The stages as commands of their own."""
    settings = folder.figures["settings"]
    persons, seed = settings["persons"], settings["seed"]
    return [
        f"mspose convert synthetic --persons {persons} --seed {seed} --out data/synthetic",
        f"mspose train {RECIPE} --data data/synthetic --out runs/tiny --set training.seed={seed}",
        "mspose evaluate runs/tiny --data data/synthetic",
        f"mspose export runs/tiny --precision {PRECISION} --data data/synthetic --out exports/tiny",
    ]
