"""What `mspose evaluate` does: measure a run under one or two box rules, print tables, write JSON."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from keras_mspose import saved_model, tables
from keras_mspose.evaluation import Evaluation, evaluate
from keras_mspose.prediction_file import write_predictions
from keras_mspose.records import RecordSet
from keras_mspose.result_file import check_writable, write_json
from keras_mspose.saved_model import Facts


def evaluate_run(
    model_path: Path,
    data_path: Path,
    *,
    split: str | None = None,
    box: str | None = None,
    flip: bool = False,
    batch_size: int = 16,
    persons: int | None = None,
    looks: int = 1,
    json_path: Path | None = None,
    predictions_path: Path | None = None,
    choices: bool = False,
) -> list[Evaluation]:
    """Measure a run and print what was found.

    Args:
        box: None measures under the run's own rule, and under both `joints` and `image` where that is no box of the
            data set's: the first needs the truth, the second does not.
        looks: see `evaluation.evaluate`.
        choices: show what every decoding and the flip test add.
        json_path: where the figures are written at full precision.
        predictions_path: where every person's keypoints are written, of the first box rule that is measured.

    Returns:
        One evaluation a box rule, the run's own first.

    Raises:
        MsposeError: no such run, record folder or split.
    """
    check_writable(json_path)
    check_writable(predictions_path)
    saved_model.find(model_path)
    data = RecordSet.load(data_path)
    model, facts = saved_model.load(model_path)
    found = []
    for rule in box_rules(facts) if box is None else [box]:
        found.append(_with_progress(model, facts, data, split, rule, flip, batch_size, persons, looks, choices))
    for one in found:
        flipped = (f", {one.looks} looks" if one.looks > 1 else "") + (", flip test" if one.flip else "")
        tables.print_accuracy(one.accuracy, f"{data.name} {one.split}, box {one.box}{flipped}")
        tables.print_heads(one.heads, one.answer)
        if one.visibility:
            tables.print_occlusion(one.visibility, data.skeleton)
        if one.choices:
            tables.print_choices(one.choices)
    if predictions_path is not None:
        write_predictions(predictions_path, found[0], data)
    if json_path is not None:
        report = {**found[0].to_dict(), "model": str(model_path), "data": data.name}
        report["other_boxes"] = {one.box: one.to_dict() for one in found[1:]}
        write_json(json_path, report)
    return found


def box_rules(facts: Facts) -> list[str]:
    """The box rules that a run is measured under: its own first."""
    own = facts.config.data.box
    return [own] if own == "record" else [own, "image" if own == "joints" else "joints"]


def _with_progress(model, facts, data, split, rule, flip, batch_size, persons, looks, choices) -> Evaluation:
    split = split or facts.config.data.val_split
    how = {"split": split, "box": rule, "flip": flip, "batch_size": batch_size, "persons": persons, "looks": looks}
    how["choices"] = choices
    steps = evaluate(model, facts, data, **how)
    total = min(data.persons(split), persons or data.persons(split))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"measuring, box {rule}", total=total)
        for done in steps:
            if isinstance(done, Evaluation):
                return done
            progress.update(task, completed=done)
    raise AssertionError("evaluate ends with an Evaluation")
