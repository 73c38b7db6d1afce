"""`mspose demo`, `info` and `train`: networks from data."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_mspose.cli_command import Add, load_tensorflow, whole_from
from keras_mspose.errors import MsposeError

if TYPE_CHECKING:
    from keras_mspose.config import RunConfig
    from keras_mspose.records import RecordSet


def add_commands(add: Add) -> None:
    """The commands that make networks."""
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

    info = add("info", "Print what a preset costs.", "mspose info paper --batch 16", _info)
    info.add_argument("preset", choices=("paper", "large", "small", "tiny"))
    info.add_argument("--batch", type=whole_from(1), default=16, help="batch size of the training step (default 16)")
    info.add_argument("--keypoints", type=whole_from(1), default=16, help="keypoints of the skeleton (default 16)")

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
    train.add_argument(
        "--batch", metavar="N|auto", help="persons of a step instead of the recipe's; auto: as many as memory holds"
    )
    train.add_argument("--memory", metavar="SIZE", help="for --batch auto, such as 6G (default: what is free)")
    train.add_argument("--devices", help="such as GPU:0,GPU:1 (default: all GPUs, else the CPU)")

    plot = add(
        "plot",
        "Draw loss and accuracy of runs, epoch by epoch.",
        "mspose plot runs/lsp --out curves.png",
        _plot,
    )
    plot.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders; several are drawn together")
    plot.add_argument("--out", type=Path, help="PNG to write (default: curves.png in the first run)")

    doctor = add(
        "doctor",
        "Say in words what is wrong with a recipe and its data, or with a trained run; 1 if anything is.",
        "mspose doctor lsp_small --data data/lsp\n  mspose doctor runs/lsp --data data/lsp --json doctor.json",
        _doctor,
    )
    doctor.add_argument("subject", metavar="RUN|RECIPE", help="run folder or .keras file, or a recipe's name or file")
    doctor.add_argument("--data", type=Path, required=True, help="record folder")
    doctor.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change the recipe")
    doctor.add_argument(
        "--picture", type=Path, default=Path("doctor.png"), help="crops with their targets (default doctor.png)"
    )
    doctor.add_argument("--json", type=Path, help="write the findings as JSON too")

    ablate = add(
        "ablate",
        "Train a grid of settings with several seeds at equal budgets, compare, and draw the paper's Fig. 4.",
        "mspose ablate paper_lsp --data data/lsp --out runs/fig4 --quick",
        _ablate,
    )
    ablate.add_argument("ablation", help="a shipped ablation's name, or a .yaml file")
    ablate.add_argument("--data", type=Path, required=True, help="record folder")
    ablate.add_argument(
        "--out", type=Path, required=True, help="folder of the ablation; the same command goes on there"
    )
    ablate.add_argument(
        "--quick", action="store_true", help="the file's quick form: whether it works, not what it finds"
    )
    ablate.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change every run")
    ablate.add_argument("--no-flip", action="store_true", help="measure without the flip test")
    ablate.add_argument("--devices", help="such as GPU:0,GPU:1 (default: all GPUs, else the CPU)")
    ablate.add_argument(
        "--jobs",
        type=int,
        default=1,
        help="runs trained side by side, each with its share of the cores or GPUs (default: 1)",
    )


def _demo(options: argparse.Namespace) -> int:
    from keras_mspose.demo_folder import DemoFolder

    folder = DemoFolder.claim(options.out, seed=options.seed)  # refuses what it must before TensorFlow's long import
    load_tensorflow(training=True)
    from export.run import export_run
    from keras_mspose.demo import run_demo
    from tfrecords_tools import synthetic

    run_demo(folder, render=synthetic.convert, export=export_run)
    return 0 if folder.figures["export"]["good"] else 1


def _info(options: argparse.Namespace) -> None:
    load_tensorflow()
    from keras_mspose import tables
    from keras_mspose.config import PRESETS
    from keras_mspose.info import cost
    from keras_mspose.model import build_model, inference_model

    model = build_model(PRESETS[options.preset], options.keypoints)
    tables.print_cost(options.preset, cost(model, inference_model(model)), options.batch)


def _train(options: argparse.Namespace) -> None:
    from keras_mspose.config import load_recipe
    from keras_mspose.records import RecordSet

    changes = options.set + ([f"training.batch_size={options.batch}"] if options.batch not in (None, "auto") else [])
    config, data = load_recipe(options.recipe, changes), [RecordSet.load(folder) for folder in options.data]
    devices = options.devices.split(",") if options.devices else None
    if options.memory and options.batch != "auto":
        raise MsposeError("--memory: is for --batch auto")
    if options.batch == "auto":
        if os.environ.get("TF_CONFIG"):
            raise MsposeError("--batch auto: not together with TF_CONFIG; set training.batch_size, of all workers")
        config = _with_batch(config, data, options, devices)
    load_tensorflow(training=True)
    from keras_mspose.training import train
    from keras_mspose.workers import Workers

    workers = Workers.join(devices)
    best = train(config, data, options.out, workers=workers)
    if workers.chief:
        print(f"trained: {best}\nmeasure it: mspose evaluate {options.out} --data {options.data[0]}")


def _with_batch(
    config: RunConfig, data: list[RecordSet], options: argparse.Namespace, devices: list[str] | None
) -> RunConfig:
    """The recipe with the largest batch that fits, or with that of the run that is gone on with."""
    from keras_mspose import batch_size, mixing
    from keras_mspose.saved_model import Facts

    memory = batch_size.bytes_of(options.memory) if options.memory else None
    earlier = batch_size.earlier(options.out)
    if earlier:
        return replace(config, training=replace(config.training, batch_size=earlier))
    sets = mixing.mix(data, config.data)
    return batch_size.with_largest_batch(
        Facts(sets[0].skeleton, sets[0].metric, config), sets, memory=memory, devices=devices
    )


def _plot(options: argparse.Namespace) -> None:
    from keras_mspose.plot_run import plot_runs

    plot_runs(options.runs, options.out)


def _ablate(options: argparse.Namespace) -> None:
    from keras_mspose import ablation
    from keras_mspose.records import RecordSet

    grid = ablation.load(options.ablation, quick=options.quick, changes=options.set)
    data = RecordSet.load(options.data)
    load_tensorflow(training=True)
    from keras_mspose.ablate_run import ablate

    devices = options.devices.split(",") if options.devices else None
    ablate(grid, data, options.out, flip=not options.no_flip, devices=devices, jobs=options.jobs)


def _doctor(options: argparse.Namespace) -> int:
    from keras_mspose import saved_model
    from keras_mspose.config import load_recipe, recipe_names
    from keras_mspose.records import RecordSet

    recipe = options.subject in recipe_names() or options.subject.endswith((".yaml", ".yml", ".json"))
    if not recipe and options.set:
        raise MsposeError("--set changes a recipe; a run is looked at as it was trained")
    config = load_recipe(options.subject, options.set) if recipe else saved_model.facts(options.subject).config
    data = RecordSet.load(options.data)
    load_tensorflow(training=True)
    from keras_mspose.doctor_run import examine

    run = None if recipe else Path(options.subject)
    found = examine(config, data, run=run, picture=options.picture, json_path=options.json)
    return 0 if all(finding.good for finding in found) else 1
