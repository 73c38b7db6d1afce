"""What a data set's keypoints are called, which mirror each other, and how they are joined and reported.

Left and right are the person's own. Flip pairs, limbs and groups are given by name, never by index.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from keras_mspose.errors import MsposeError


@dataclass(frozen=True)
class Skeleton:
    """The facts of one keypoint set.

    Attributes:
        name: how files and the command line call it.
        keypoints: K names, in the order of every array's keypoint axis.
        flip_pairs: (left, right) names that a mirrored photograph exchanges.
        limbs: pairs of names that are joined when drawn, and that are neighbours on the body.
        groups: report columns, each the keypoints that are averaged in it.
        unscored: keypoints that no total counts (MPII leaves out pelvis and thorax).
        torso: the two keypoints whose distance is the torso of PCK, or None.
        head: neck and head top, the stand-in for a head box of PCKh, or None.
        upper_body: keypoints above the hips; those that are left are the lower body. Empty: not known.
    """

    name: str
    keypoints: tuple[str, ...]
    flip_pairs: tuple[tuple[str, str], ...] = ()
    limbs: tuple[tuple[str, str], ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    torso: tuple[str, str] | None = None
    head: tuple[str, str] | None = None
    upper_body: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.keypoints)) != len(self.keypoints) or not self.keypoints:
            raise MsposeError(f"skeleton {self.name}: keypoint names must be given and differ from each other")
        pairs = [*self.flip_pairs, *self.limbs, *(p for p in (self.torso, self.head) if p is not None)]
        if any(len(pair) != 2 for pair in pairs):
            raise MsposeError(f"skeleton {self.name}: flip_pairs, limbs, torso and head are pairs of two names each")
        used = [n for pair in (*self.flip_pairs, *self.limbs, *self.groups.values()) for n in pair]
        used += [*self.unscored, *(self.torso or ()), *(self.head or ()), *self.upper_body]
        for name in (self.name, *self.keypoints, *self.groups, *used):
            if not (isinstance(name, str) and name.isprintable()):
                raise MsposeError(f"skeleton {self.name!r}: {name!r} is no name; expected one line of text")
        unknown = sorted(set(used) - set(self.keypoints))
        if unknown:
            raise MsposeError(f"skeleton {self.name}: {', '.join(unknown)} used but not among its keypoints")
        if not set(self.keypoints) - set(self.unscored):
            raise MsposeError(f"skeleton {self.name}: unscored has every keypoint, so that no total counts any")
        mirrored = [n for pair in self.flip_pairs for n in pair]
        if len(set(mirrored)) != len(mirrored):
            raise MsposeError(f"skeleton {self.name}: a keypoint stands in two flip pairs")
        if not set(self.keypoints) - set(self.upper_body):
            raise MsposeError(f"skeleton {self.name}: upper_body has every keypoint, so that none is the lower body's")
        split = [pair for pair in self.flip_pairs if len(set(pair) & set(self.upper_body)) == 1]
        if split:
            raise MsposeError(f"skeleton {self.name}: upper_body has one of {' and '.join(split[0])}, expected both")

    def __len__(self) -> int:
        return len(self.keypoints)

    def index(self, name: str) -> int:
        """Position of a keypoint on the keypoint axis."""
        return self.keypoints.index(name)

    @property
    def flip_order(self) -> np.ndarray:
        """(K,) int: `keypoints[..., flip_order, :]` after mirroring puts every name back at its place."""
        order = np.arange(len(self))
        for left, right in self.flip_pairs:
            i, j = self.index(left), self.index(right)
            order[i], order[j] = j, i
        return order

    @property
    def limb_indices(self) -> list[tuple[int, int]]:
        """Limbs as pairs of positions on the keypoint axis."""
        return [(self.index(a), self.index(b)) for a, b in self.limbs]

    @property
    def scored_indices(self) -> list[int]:
        """Positions of the keypoints that totals count."""
        return [i for i, name in enumerate(self.keypoints) if name not in self.unscored]

    def side(self, name: str) -> str:
        """`left`, `right` or `middle`, from the flip pairs."""
        if any(name == left for left, _ in self.flip_pairs):
            return "left"
        return "right" if any(name == right for _, right in self.flip_pairs) else "middle"

    def to_dict(self) -> dict:
        """JSON-ready form, as `dataset.json` keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> Skeleton:
        """The inverse of `to_dict`.

        A file from before `upper_body` was written has the one of the shipped skeleton of the same name and keypoints.

        Raises:
            MsposeError: a key is missing, unknown or of another form.
        """
        unknown = set(data) - set(cls.__dataclass_fields__)
        if unknown or "name" not in data or "keypoints" not in data:
            raise MsposeError(f"skeleton: needs `name` and `keypoints`; unknown keys: {sorted(unknown) or 'none'}")
        try:
            name, keypoints = str(data["name"]), tuple(data["keypoints"])
            shipped = SKELETONS.get(name)
            known = shipped.upper_body if shipped and shipped.keypoints == keypoints else ()
            return cls(
                name=name,
                keypoints=keypoints,
                flip_pairs=tuple(tuple(p) for p in data.get("flip_pairs", ())),
                limbs=tuple(tuple(p) for p in data.get("limbs", ())),
                groups={k: tuple(v) for k, v in data.get("groups", {}).items()},
                unscored=tuple(data.get("unscored", ())),
                torso=tuple(data["torso"]) if data.get("torso") else None,
                head=tuple(data["head"]) if data.get("head") else None,
                upper_body=tuple(data.get("upper_body", known)),
            )
        except (TypeError, AttributeError) as error:
            raise MsposeError(f"skeleton {data.get('name')}: {error}") from error


def _pairs(*parts: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"left_{p}", f"right_{p}") for p in parts)


_BODY = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_BODY_GROUPS = {part.capitalize(): pair for part, pair in zip(_BODY, _pairs(*_BODY), strict=True)}
_ARMS_AND_LEGS = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("right", "left")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
)
_TORSO = ("left_shoulder", "right_hip")
_ARMS = tuple(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist") for side in ("left", "right"))

MPII16 = Skeleton(
    name="mpii16",
    keypoints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "upper_neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    ),
    flip_pairs=_pairs(*_BODY),
    limbs=(
        *_ARMS_AND_LEGS,
        *(("head_top", "upper_neck"), ("upper_neck", "thorax"), ("thorax", "pelvis")),
        *(("thorax", "right_shoulder"), ("thorax", "left_shoulder"), ("pelvis", "right_hip"), ("pelvis", "left_hip")),
    ),
    groups={"Head": ("upper_neck", "head_top"), **_BODY_GROUPS},
    unscored=("pelvis", "thorax"),
    torso=_TORSO,
    head=("upper_neck", "head_top"),
    upper_body=("thorax", "upper_neck", "head_top", *_ARMS),
)

LSP14 = Skeleton(
    name="lsp14",
    keypoints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
        *("neck", "head_top"),
    ),
    flip_pairs=_pairs(*_BODY),
    limbs=(
        *_ARMS_AND_LEGS,
        *(("head_top", "neck"), ("neck", "right_shoulder"), ("neck", "left_shoulder")),
        *(("right_shoulder", "right_hip"), ("left_shoulder", "left_hip"), ("right_hip", "left_hip")),
    ),
    groups={"Head": ("neck", "head_top"), **_BODY_GROUPS},
    torso=_TORSO,
    head=("neck", "head_top"),
    upper_body=("neck", "head_top", *_ARMS),
)

FLIC11 = Skeleton(
    name="flic11",
    keypoints=(
        *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_hip", "right_hip", "left_eye", "right_eye", "nose"),
    ),
    flip_pairs=_pairs("shoulder", "elbow", "wrist", "hip", "eye"),
    limbs=(
        *(pair for pair in _ARMS_AND_LEGS if "hip" not in pair[0] and "knee" not in pair[0]),
        *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
        *(("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
        *(("left_eye", "nose"), ("right_eye", "nose")),
    ),
    groups={
        "Head": ("left_eye", "right_eye", "nose"),
        **{part: _BODY_GROUPS[part] for part in ("Shoulder", "Elbow", "Wrist", "Hip")},
    },
    torso=_TORSO,
    upper_body=("left_eye", "right_eye", "nose", *_ARMS),
)

COCO17 = Skeleton(
    name="coco17",
    keypoints=("nose", *(f"{side}_{p}" for p in ("eye", "ear", *_BODY) for side in ("left", "right"))),
    flip_pairs=_pairs("eye", "ear", *_BODY),
    limbs=(
        *_ARMS_AND_LEGS,
        *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
        *(("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
        *(("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear")),
        *(("left_ear", "left_shoulder"), ("right_ear", "right_shoulder")),
    ),
    groups={"Head": ("nose", "left_eye", "right_eye", "left_ear", "right_ear"), **_BODY_GROUPS},
    torso=_TORSO,
    upper_body=("nose", "left_eye", "right_eye", "left_ear", "right_ear", *_ARMS),
)

SKELETONS = {s.name: s for s in (MPII16, LSP14, FLIC11, COCO17)}
