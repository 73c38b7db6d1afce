"""Frozen dataclasses that hold all of a run: model, data, augmentation, training. Presets and recipe files.

A recipe is a YAML file with the sections below. Unknown keys and wrong types are refused by name, so that a typing
error never trains the default in silence.
"""

from __future__ import annotations

import json
from dataclasses import asdict, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from keras_mspose import yaml_text
from keras_mspose.errors import MsposeError

_STRICT = ConfigDict(extra="forbid", strict=True)
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """The network (paper, section 2).

    Attributes:
        stacks: hourglasses one after the other.
        channels: feature channels of every residual module.
        input_size: (height, width) of the crop in pixels; each divides by 4 * 2 ** depth.
        scales: heatmaps that are supervised at every stack, 1 = GT (stride 4), 2 = GT/2, ...
        depth: poolings of an hourglass, 8 at most.
        regression: whether the global keypoint regression ends the network.
    """

    stacks: Positive = 4
    channels: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    input_size: tuple[Positive, Positive] = (256, 256)
    scales: tuple[Positive, ...] = (1, 2, 4, 8)
    depth: Annotated[int, Field(ge=1, le=8)] = 4
    regression: bool = True

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        step = 4 * 2**self.depth
        if any(side % step for side in self.input_size):
            raise ValueError(f"input_size {self.input_size} must divide by {step} (4 * 2 ** depth)")
        allowed = [2**i for i in range(self.depth)]
        if self.scales[:1] != (1,) or list(self.scales) != sorted(set(self.scales) & set(allowed)):
            raise ValueError(f"scales must begin with 1, rise, and be among {allowed}; got {self.scales}")
        return self


@dataclass(frozen=True, config=_STRICT)
class AugmentConfig:
    """What training does to each crop. All of it is one transform of the photograph, but for the colour.

    Attributes:
        scale: the person's size is multiplied by a factor between 1 - scale and 1 + scale.
        rotation: largest turn in degrees, either way.
        rotation_share: share of the crops that are turned at all.
        translation: largest shift of the crop, either way, as a share of the box's side.
        flip: share of the crops that are mirrored.
        colour: each colour channel is multiplied by a factor between 1 - colour and 1 + colour.
        contrast: distances from mid-grey are multiplied by a factor between 1 - contrast and 1 + contrast.
        brightness: largest lightening or darkening of a crop, as a share of the way from black to white.
        whole_image: share of the crops that show the whole photograph instead of the person's box, for networks that
            are to find a person without one; only for photographs of one person.
        half_body: share of the crops that show the upper or the lower body alone, where enough keypoints are labelled;
            the skeleton has to name its upper body. Keypoints outside of such a crop count as not labelled.
        occluders: share of the crops in which one or two rectangles or ellipses hide something.
        occluder_size: largest width and height of an occluder, as a share of the crop's; the smallest is 0.1.
        mask_keypoints: share of the crops in which one to three keypoints are covered by patches of background.
        copy_keypoints: share of the crops in which patches about one to three keypoints stand on the background, too.
        patch_size: side of the largest such patch, as a share of the crop's; the smallest is half as large.
    """

    scale: Annotated[float, Field(ge=0, lt=1)] = 0.25
    rotation: Annotated[float, Field(ge=0, le=180)] = 30.0
    rotation_share: Share = 0.6
    translation: NonNegative = 0.0
    flip: Share = 0.5
    colour: Annotated[float, Field(ge=0, lt=1)] = 0.2
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.0
    whole_image: Share = 0.0
    half_body: Share = 0.0
    occluders: Share = 0.0
    occluder_size: Annotated[float, Field(ge=0.1, le=0.8)] = 0.35
    mask_keypoints: Share = 0.0
    copy_keypoints: Share = 0.0
    patch_size: Annotated[float, Field(gt=0, le=0.5)] = 0.2


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """Where the persons come from and what is cut out about them.

    Attributes:
        train_split, val_split: names of splits in the record folder.
        box: `record` takes the data set's person box (and `joints` where a person has none); `joints` a square about
            the labelled keypoints; `image` the whole photograph.
        skeleton: a shipped skeleton that the data's keypoints are matched to by name; the first data set's where null.
        rename: its names for keypoints that a data set calls otherwise, such as `neck: upper_neck`; see `mixing`.
        weights: of several data sets, how often persons of each come, relative to the others; everybody once an epoch
            where null.
        shuffle_buffer: serialised persons held for shuffling.
        augment: augmentation of the training split.
    """

    train_split: str = "train"
    val_split: str = "val"
    box: Literal["record", "joints", "image"] = "record"
    skeleton: str | None = None
    rename: dict[str, str] = field(default_factory=dict)
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    shuffle_buffer: Positive = 1024
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """How the network is trained.

    Attributes:
        epochs: passes over the training split.
        batch_size: persons of one step, over all replicas together.
        accumulate: parts that a step is computed in, one after the other, in the memory of one; their gradients are
            averaged before its one update. The statistics of batch normalisation are of a part. In one where null.
        checkpoint_gradients: whether each stack's features are computed again in the backward pass instead of kept, for
            less memory and more time.
        learning_rate: Adam's, at its largest.
        warmup_steps: steps over which the learning rate rises linearly from 0.
        decay: `steps` halves it at `decay_epochs`; `cosine` lowers it to 1 % at the end; `constant` leaves it.
        decay_epochs: epochs after which `steps` multiplies the learning rate by `decay_factor`.
        weight_decay: AdamW's: each step takes learning rate times this share of every kernel away from it.
        sigma: of the ground truth Gaussians, in heatmap pixels of each scale.
        pyramid: how ground truth comes to the smaller scales: `rendered` there, or GT down-sampled by `maximum` or
            `average`.
        precision: Keras dtype policy of the layers; heads stay float32.
        seed: of initial weights, data order and augmentation.
        steps_per_epoch: persons // batch_size where null.
        val_persons: the first so many persons are measured after each epoch; all where null.
        keep_checkpoints: resumable checkpoints kept, beside the best network.
        checkpoint_steps: steps of an epoch from one of them to the next; there is one after every epoch, too, and none
            but those where null.
        deterministic: whether every operation gives the same bits each time, at some cost in speed: on one device, a
            run that was killed and resumed then ends in exactly the weights of one that was not.
        ema: momentum of the weights' running average, such as 0.999, which validation, best.keras and last.keras then
            take; none where null.
        scale_weights: of the losses of `model.scales`, one for each; all 1 where null. The regression's is 1.
        hard_keypoints: the answer's loss is over each person's so many keypoints of the largest loss; all where null.
        structure: weight of the structure-aware loss over neighbouring keypoints, see `losses.HeatmapLoss`.
        images_every: epochs between pictures of predictions and heatmaps of the first validation persons in
            TensorBoard; none where null.
        teacher: run folder or `.keras` file of a larger network of the same skeleton and crop size, whose heatmaps are
            learned, too; none where null. See `distillation`.
        teacher_weight: the teacher's share of the loss of each head that it has an answer for; the labels' is the rest.
        start_from: run folder or `.keras` file of the same network, whose weights the training begins with; random
            ones where null. `input_size` may differ: most of a training can go over small crops, four times as fast.
            So may the skeleton: what depends on the keypoints is then made anew.
    """

    epochs: Positive = 100
    batch_size: Positive = 16
    accumulate: Positive | None = None
    checkpoint_gradients: bool = False
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    decay: Literal["steps", "cosine", "constant"] = "steps"
    decay_epochs: tuple[Positive, ...] = (40, 60, 80)
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    weight_decay: NonNegative = 0.0
    sigma: Annotated[float, Field(gt=0)] = 1.0
    pyramid: Literal["rendered", "maximum", "average"] = "rendered"
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    seed: Annotated[int, Field(ge=0)] = 0
    steps_per_epoch: Positive | None = None
    val_persons: Positive | None = None
    keep_checkpoints: Positive = 2
    checkpoint_steps: Positive | None = None
    deterministic: bool = False
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    scale_weights: tuple[NonNegative, ...] | None = None
    hard_keypoints: Positive | None = None
    structure: NonNegative = 0.0
    images_every: Positive | None = None
    teacher: str | None = None
    teacher_weight: Share = 0.5
    start_from: str | None = None


@dataclass(frozen=True, config=_STRICT)
class RunConfig:
    """All of one training run, as `RUN/config.json` keeps it."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @model_validator(mode="after")
    def _check(self) -> RunConfig:
        scales, weights = self.model.scales, self.training.scale_weights
        if weights is not None and len(weights) != len(scales):
            raise ValueError(f"training.scale_weights: {len(weights)} for the {len(scales)} of model.scales {scales}")
        return self

    def to_dict(self) -> dict:
        """JSON-ready form."""
        return json.loads(json.dumps(asdict(self)))


PRESETS = {
    "paper": ModelConfig(),
    "large": ModelConfig(stacks=8, channels=256),
    "small": ModelConfig(stacks=2, channels=64, input_size=(128, 128)),
    "tiny": ModelConfig(stacks=1, channels=32, input_size=(128, 128)),
}


def from_dict(data: dict, where: str) -> RunConfig:
    """Check a nested dict and make a run of it. `model.preset` names a preset that the other keys change.

    Args:
        data: sections `model`, `data`, `training`.
        where: the file's name, for messages.

    Raises:
        MsposeError: unknown key, wrong type or value out of range; all are named at once.
    """
    if not isinstance(data, dict):
        raise MsposeError(f"{where}: expected sections model, data, training; got {type(data).__name__}")
    data = dict(data)
    model = data.get("model")
    if isinstance(model, dict) and "preset" in model:
        if model["preset"] not in PRESETS:
            raise MsposeError(f"{where}: unknown preset {model['preset']!r}; there are {', '.join(PRESETS)}")
        data["model"] = {**asdict(PRESETS[model["preset"]]), **{k: v for k, v in model.items() if k != "preset"}}
    try:
        # YAML also knows dates: as text they are refused by name, like any other wrong value
        return TypeAdapter(RunConfig).validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {_say(e)}" for e in error.errors())
        raise MsposeError(f"{where}: {problems}") from error
    except TypeError as error:
        raise MsposeError(f"{where}: {error}") from error


def _say(error: dict) -> str:
    if error["type"] == "unexpected_keyword_argument":
        return "unknown key"
    if error["type"] == "value_error":  # from a check of our own, which names the value itself
        return error["msg"].removeprefix("Value error, ")
    return f"{error['msg']} (got {error['input']!r})"


def recipe_names() -> list[str]:
    """Names of the recipes that the package ships."""
    folder = resources.files("keras_mspose.recipes")
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def load_recipe(name: str, changes: list[str] | None = None) -> RunConfig:
    """Read a recipe by its shipped name or its path, and apply changes such as `training.epochs=2`.

    Raises:
        MsposeError: no such recipe, not YAML, or a key or value that `from_dict` refuses.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml", ".json"):
        if not path.is_file():
            raise MsposeError(f"{path}: no such recipe file")
        text = path.read_bytes()
    elif name in recipe_names():
        text = (resources.files("keras_mspose.recipes") / f"{name}.yaml").read_bytes()
    else:
        raise MsposeError(f"no recipe {name!r}; shipped are {', '.join(recipe_names())}, or give a .yaml file")
    try:
        data: Any = yaml_text.load(text) or {}
    except ValueError as error:
        raise MsposeError(f"{name}: not YAML: {error}") from error
    for change in changes or []:
        key, equals, value = change.partition("=")
        *sections, last = key.split(".")
        if not equals or not sections or not isinstance(data, dict):
            raise MsposeError(f"--set {change}: expected section.key=value, for example training.epochs=2")
        place = data
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise MsposeError(f"--set {change}: {section} is not a section")
        try:
            place[last] = yaml_text.load(value)
        except ValueError as error:
            raise MsposeError(f"--set {change}: {value!r} is not a YAML value, such as 2, [1, 2] or null") from error
    return from_dict(data, name)
