"""What `mspose inspect --verify` prints, writes and draws about the findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict
from itertools import chain, zip_longest
from pathlib import Path

from rich.console import Console
from rich.table import Table

from keras_mspose import records, visualization
from keras_mspose.result_file import check_writable, write_json
from tfrecords_tools import sheets
from tfrecords_tools.verification import BROKEN, KINDS, Finding, verify

SHOWN = 5  # examples of a kind on the terminal; the JSON file has all


def report(folder: Path, *, sheet: Path | None = None, json_path: Path | None = None, persons: int = 24) -> bool:
    """Read a record folder again, print what was found, and draw the worst suspects.

    Args:
        folder: record folder.
        sheet: PNG to write; `FOLDER-suspects.png` beside the folder where None. None is written without suspects.
        json_path: where to write all the findings as JSON.
        persons: how many suspects to draw; 0 draws none.

    Returns:
        Whether nothing is broken. Suspects alone are no reason.

    Raises:
        MsposeError: not a record folder, or a file that cannot be written.
    """
    check_writable(json_path)
    check_writable(sheet)
    data = records.RecordSet.load(folder)
    console = Console(soft_wrap=True, highlight=False)
    counts, found = verify(data, Console(stderr=True))
    _print(data, counts, found, console)
    broken = sum(f.kind in BROKEN for f in found)
    if json_path:
        content = {
            "folder": str(data.folder),
            "name": data.name,
            "good": not broken,
            "persons_read": counts,
            "counts": {kind: _by_split(found, kind) for kind in KINDS},
            "findings": [asdict(f) for f in found],
        }
        write_json(json_path, content)
    chosen = _worst_of_each_kind(found)[:persons]
    if chosen:
        path = sheet or data.folder.resolve().with_name(f"{data.folder.resolve().name}-suspects.png")
        drawn = [(f.file, f.record, f.what) for f in chosen]
        visualization.save_png(path, sheets.suspects_sheet(data, drawn))
        console.print(f"the worst {len(chosen)} suspects are drawn: {path}")
    return not broken


def _by_split(found: list[Finding], kind: str) -> dict[str, int]:
    return dict(Counter(f.split for f in found if f.kind == kind))


def _worst_of_each_kind(found: list[Finding]) -> list[Finding]:
    """Suspects that can be drawn: the worst of each kind, then the second worst of each, and so on; a person once."""
    seen = {(f.file, f.record) for f in found if f.kind in BROKEN}
    kinds = defaultdict(list)
    for f in found:
        if f.kind not in BROKEN:
            kinds[f.kind].append(f)
    chosen = []
    for f in chain.from_iterable(zip_longest(*kinds.values())):
        if f and (f.file, f.record) not in seen:
            seen.add((f.file, f.record))
            chosen.append(f)
    return chosen


def _print(data: records.RecordSet, counts: dict[str, int], found: list[Finding], console: Console) -> None:
    table = Table("", *data.splits, "what it means", title=f"{data.folder}: {data.name}", title_justify="left")
    table.add_row("persons read again", *(f"{counts[s]:,}" for s in data.splits), "every byte, photographs decoded")
    for kind, meaning in KINDS.items():
        number = _by_split(found, kind)
        table.add_row(kind, *(f"{number[s]:,}" if s in number else "-" for s in data.splits), meaning)
        if kind == BROKEN[-1]:
            table.add_section()
    console.print(table)
    for kind in KINDS:
        these = [f for f in found if f.kind == kind]
        for f in these[:SHOWN]:
            console.print(f"{kind}: {_where(f)}: {f.what}", markup=False)
        if len(these) > SHOWN:
            console.print(f"{kind}: and {len(these) - SHOWN:,} more; --json names all")
    broken = sum(f.kind in BROKEN for f in found)
    if broken:
        console.print(f"broken: {broken:,} findings above the line; copy the folder again, or convert again")
    suspects = len(found) - broken
    if suspects:
        console.print(f"{suspects:,} suspects: look at them; nothing of it stops training")
    if not found:
        console.print("nothing broken, nothing suspect")


def _where(f: Finding) -> str:
    if f.record is None:
        return f"{f.split} {f.file}".strip()
    who = f"{f.image} person {f.person}" if f.image else "a person who cannot be read"
    return f"{f.split} {who} (record {f.record} of {f.file})"
