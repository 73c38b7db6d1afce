"""What `mspose evaluate` does: measure a run under one or two box rules, print tables, write JSON and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from keras_mspose import evaluation_report, mixing, protocols, saved_model, tables
from keras_mspose.analysis import analyse
from keras_mspose.errors import MsposeError
from keras_mspose.evaluation import Evaluation, evaluate
from keras_mspose.metrics import normalised_distances
from keras_mspose.passes import PLAIN
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
    scales: tuple[float, ...] = PLAIN,
    batch_size: int = 16,
    persons: int | None = None,
    looks: int = 1,
    json_path: Path | None = None,
    predictions_path: Path | None = None,
    report_path: Path | None = None,
    overwrite: bool = False,
    choices: bool = False,
) -> list[Evaluation]:
    """Measure a run and print what was found.

    Args:
        box: None measures under the run's own rule, and under both `joints` and `image` where that is no box of the
            data set's: the first needs the truth, the second does not.
        scales: see `evaluation.evaluate`, as `looks`.
        choices: show what every decoding, the flip test and the scales add.
        json_path: where the figures are written at full precision.
        predictions_path: where every person's keypoints are written, of the first box rule that is measured.
        report_path: folder of a report with charts and pictures, of the first box rule.
        overwrite: an earlier report there may be replaced.

    Returns:
        One evaluation a box rule, the run's own first.

    Raises:
        MsposeError: no such run, record folder or split, or a result that cannot be written or lies in the report.
    """
    for path in (json_path, predictions_path):
        check_writable(path)
        if path is not None and report_path is not None and report_path.resolve() in path.resolve().parents:
            raise MsposeError(f"{path}: lies in the report's folder, which is written as a whole; give another place")
    if report_path is not None:
        evaluation_report.check(report_path, overwrite=overwrite)
    saved_model.find(model_path)
    data = RecordSet.load(data_path)
    model, facts = saved_model.load(model_path)
    data = mixing.alone(data, facts.config.data)
    how = {"split": split or facts.config.data.val_split, "flip": flip, "scales": scales, "batch_size": batch_size}
    how |= {"persons": persons, "looks": looks, "choices": choices}
    found = [
        with_progress(model, facts, data, box=rule, **how) for rule in (box_rules(facts) if box is None else [box])
    ]
    for one in found:
        tables.print_accuracy(one.accuracy, f"{data.name} {one.split}, {evaluation_report.described(one).lower()}")
        tables.print_heads(one.heads, one.answer)
        if one.visibility:
            tables.print_occlusion(one.visibility, data.skeleton)
        if one.choices:
            tables.print_choices(one.choices)
    figures = _figures(found, data, str(model_path))
    if predictions_path is not None:
        write_predictions(predictions_path, found[0], data)
    if json_path is not None:
        write_json(json_path, figures)
    if report_path is not None:
        page = evaluation_report.write_report(report_path, model, facts, data, found[0], figures)
        tables.console.print(f"report: {page}")
    return found


def _figures(found: list[Evaluation], data: RecordSet, model: str) -> dict[str, Any]:
    """What is written as JSON, the first box rule's at the top level; prints what is no table."""
    first = found[0]
    figures = {**first.to_dict(), "model": model, "data": data.name}
    if data.metric == "pckh" and data.skeleton.head:
        distances = normalised_distances(first.predicted, first.truth, first.reference)
        scores = {name: protocols.score(distances, data.skeleton, name) for name in protocols.PROTOCOLS}
        tables.print_protocols(scores)
        figures["protocols"] = {name: one.to_dict() for name, one in scores.items()}
    figures["analysis"] = analyse(first, data.skeleton, data.metric)
    tables.print_findings(first, figures["analysis"])
    figures["other_boxes"] = {one.box: one.to_dict() for one in found[1:]}
    return figures


def box_rules(facts: Facts) -> list[str]:
    """The box rules that a run is measured under: its own first."""
    own = facts.config.data.box
    return [own] if own == "record" else [own, "image" if own == "joints" else "joints"]


def with_progress(
    model, facts: Facts, data: RecordSet, *, split: str, box: str, persons: int | None, **how
) -> Evaluation:
    """`evaluation.evaluate` to its end, with a bar on stderr."""
    steps = evaluate(model, facts, data, split=split, box=box, persons=persons, **how)
    total = min(data.persons(split), persons or data.persons(split))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"measuring, box {box}", total=total)
        for done in steps:
            if isinstance(done, Evaluation):
                return done
            progress.update(task, completed=done)
    raise AssertionError("evaluate ends with an Evaluation")
