"""What `mspose show` does: one picture of what a network, or several, see in photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_mspose import geometry, strips, visualization
from keras_mspose.all_heads import AllHeads, Box, Seen
from keras_mspose.crops import Photograph
from keras_mspose.errors import MsposeError
from keras_mspose.image_files import read_file
from keras_mspose.result_file import check_writable
from keras_mspose.skeleton import Skeleton
from keras_mspose.tiles import Tile, grid

TILE = 224  # pixels of a heatmap
WHOLE = 360  # longer side of a photograph where networks are compared
FAINT = "faint: the network is less sure"


def show(
    models: list[Path],
    photographs: list[Path],
    out: Path,
    *,
    box: Box | None = None,
    keypoint: str | None = None,
    threshold: float = 0.0,
) -> Path:
    """Draw, for one network, the strip of all its heads (`strips.strip`) of each photograph; for several, their
    answers side by side, a row a photograph.

    Args:
        models: run folders, `.keras` files or released names.
        photographs: files of `image_files.FORMATS`.
        out: PNG to write.
        box: about the person, in pixels of every photograph; without one the network looks three times.
        keypoint: whose heatmap alone is shown.
        threshold: keypoints must score above it to be drawn.

    Returns:
        `out`.

    Raises:
        MsposeError: no such network, a file that is no photograph, no such keypoint, or nowhere to write.
    """
    check_writable(out)
    if keypoint is not None and len(models) > 1:
        raise MsposeError("--keypoint is of one network's heatmaps; networks are compared by their answers")
    networks = [AllHeads(model) for model in models]
    read = [(file, Photograph(read_file(file), str(file))) for file in photographs]
    if len(networks) > 1:
        names = _names(models)
        rows = [_beside(networks, names, photograph, file.name, box, threshold) for file, photograph in read]
        picture = grid(rows)
    else:
        parts = [_strip(networks[0], photograph, box, keypoint, threshold) for _, photograph in read]
        picture = np.concatenate(parts, axis=0)
    top = visualization.legend(picture.shape[1], FAINT)
    visualization.save_png(out, np.concatenate([top, picture], axis=0))
    print(out)
    return out


def _strip(
    network: AllHeads, photograph: Photograph, box: Box | None, keypoint: str | None, threshold: float
) -> np.ndarray:
    seen = network.look(photograph, box)
    size, sigma = network.facts.config.model.input_size, network.facts.config.training.sigma
    shown = tuple(round(side * TILE / max(size)) for side in size)
    crop = photograph.crop(np.float32(seen.box), shown)
    keypoints = strips.read(seen.heatmaps, size, shown, sigma)
    skeleton = network.facts.skeleton
    return strips.strip(crop, seen.heatmaps, keypoints, skeleton, keypoint=keypoint, threshold=threshold)


def _beside(
    networks: list[AllHeads],
    names: list[str],
    photograph: Photograph,
    file: str,
    box: Box | None,
    threshold: float,
) -> list[Tile]:
    """The photograph once for each network, with what it answers; the captions say where they differ most."""
    picture, matrix = _whole(photograph)
    tiles, first = [], None
    for network, name in zip(networks, names, strict=True):
        seen = network.look(photograph, box)
        answer, skeleton = seen.keypoints[seen.answer], network.facts.skeleton
        moved = np.column_stack([geometry.apply(matrix, answer[:, :2]), answer[:, 2]])
        size = seen.box[2] * float(matrix[0, 0])
        caption = f"{file}: {name}" if first is None else f"{name}; {_farthest(first, (seen, skeleton))}"
        drawn = visualization.draw_pose(picture, moved, skeleton, threshold=threshold, person_size=size)
        tiles.append((drawn, caption))
        first = first or (seen, skeleton)
    return tiles


def _whole(photograph: Photograph) -> tuple[np.ndarray, np.ndarray]:
    """The whole photograph, its longer side WHOLE pixels, and the transform (2, 3) from its pixels to the picture's."""
    width, height = photograph.size
    center, side = geometry.image_box(*np.float32(photograph.size))
    scale = WHOLE / max(width, height)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    matrix = geometry.crop_transform(center, side, size)
    return photograph.crop(np.float32([*center, side]), size), matrix


def _farthest(one: tuple[Seen, Skeleton], other: tuple[Seen, Skeleton]) -> str:
    """Which keypoint, of those that both networks know, two answers place farthest apart."""
    positions = [
        {name: seen.keypoints[seen.answer][k, :2] for k, name in enumerate(skeleton.keypoints)}
        for seen, skeleton in (one, other)
    ]
    apart = {n: float(np.linalg.norm(positions[0][n] - positions[1][n])) for n in positions[0] if n in positions[1]}
    if not apart:
        return "no keypoint in common"
    name = max(apart, key=apart.get)
    return f"farthest off: {name.replace('_', ' ')}, {apart[name]:.0f} px"


def _names(models: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    for length in range(1, max(len(model.parts) for model in models) + 1):
        names = ["/".join(model.parts[-length:]) for model in models]
        if len(set(names)) == len(names):
            break
    return names
