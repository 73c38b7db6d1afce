"""`mspose demo`, `info` and `train`: networks from data."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_mspose.cli_command import Add, load_tensorflow
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
    train.add_argument(
        "--batch", metavar="N|auto", help="persons of a step instead of the recipe's; auto: as many as memory holds"
    )
    train.add_argument("--memory", metavar="SIZE", help="for --batch auto, such as 6G (default: what is free)")
    train.add_argument("--devices", help="such as GPU:0,GPU:1 (default: all GPUs, else the CPU)")


def _demo(options: argparse.Namespace) -> int:
    from keras_mspose.demo_folder import DemoFolder

    folder = DemoFolder.claim(options.out, seed=options.seed)  # refuses what it must before TensorFlow's long import
    load_tensorflow()
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
    if options.batch == "auto":
        config = _with_batch(config, data, options, devices)
    load_tensorflow()
    from keras_mspose.training import train

    best = train(config, data, options.out, devices=devices)
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
    if os.environ.get("TF_CONFIG"):
        raise MsposeError("--batch auto: measures one machine; give several the number that it finds: --batch N")
    sets = mixing.mix(data, config.data)
    facts = Facts(sets[0].skeleton, sets[0].metric, config)
    return batch_size.with_largest_batch(facts, sets, memory=memory, devices=devices)
