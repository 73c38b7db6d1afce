"""Several data sets in one training: their keypoints matched by name to one skeleton.

A keypoint is the same where its name is the same. What a data set does not have stays unlabelled, and so adds nothing
to the loss; what the skeleton does not have is dropped. Names that mean nearly the same are not matched unless the
recipe says so: to take LSP's `neck`, about the collar, for MPII's `upper_neck`, where head and neck meet, as is usual
where both are trained on, shifts that point by a few pixels (`data.rename: {neck: upper_neck}`). The first data set is
the one that is validated on; its metric is the run's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from keras_mspose.config import DataConfig
from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.skeleton import SKELETONS, Skeleton

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_mspose.saved_model import Facts


@dataclass(frozen=True)
class Matched(RecordSet):
    """A data set whose persons have the keypoints of another skeleton.

    Attributes:
        original: the data set itself.
        places: of each of the skeleton's keypoints in the original's, None where that has none.
    """

    original: RecordSet | None = None
    places: tuple[int | None, ...] = ()

    def files(self, split: str) -> list[str]:
        return self.original.files(split)

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        person = self.original.parse(serialized)
        keypoints = person["keypoints"]
        rows = tf.concat([keypoints, tf.zeros_like(keypoints[..., :1, :])], axis=-2)  # the added row is not labelled
        added = len(self.original.skeleton)
        places = [added if p is None else p for p in self.places]
        return {**person, "keypoints": tf.gather(rows, places, axis=-2)}


def matched(data: RecordSet, skeleton: Skeleton, rename: Mapping[str, str]) -> RecordSet:
    """A data set as if its persons had the keypoints of `skeleton`.

    The box about the joints and the torso are then those of the matched keypoints.

    Args:
        rename: the skeleton's name for keypoints that the data set calls otherwise; a keypoint that has the skeleton's
            own name goes before one that is renamed to it.

    Raises:
        MsposeError: no keypoint of the skeleton is in the data set.
    """
    if data.skeleton.keypoints == skeleton.keypoints:
        return replace(data, skeleton=skeleton)
    own = data.skeleton.keypoints
    renamed = {rename[name]: name for name in own if name in rename}
    names = [name if name in own else renamed.get(name) for name in skeleton.keypoints]
    if not any(names):
        raise MsposeError(
            f"{data.folder}: none of its keypoints ({', '.join(own)}) is one of {skeleton.name}'s; see data.rename"
        )
    facts = {part.name: getattr(data, part.name) for part in fields(RecordSet)} | {"skeleton": skeleton}
    return Matched(**facts, original=data, places=tuple(own.index(name) if name else None for name in names))


def mix(sets: Sequence[RecordSet], config: DataConfig) -> list[RecordSet]:
    """The data sets of a run, all with one skeleton: `config.skeleton`, or the first set's.

    Prints which keypoints of each set are found, and a warning where the sets name left and right by different rules.

    Raises:
        MsposeError: no such skeleton, names in `config.rename` that nobody has, another number of weights than of sets,
            or a set without any of the keypoints.
    """
    if config.skeleton and config.skeleton not in SKELETONS:
        raise MsposeError(f"data.skeleton: no skeleton {config.skeleton!r}; there are {', '.join(SKELETONS)}")
    if config.weights and len(config.weights) != len(sets):
        raise MsposeError(f"data.weights: {len(config.weights)} for {len(sets)} data sets; expected one for each")
    skeleton = SKELETONS[config.skeleton] if config.skeleton else sets[0].skeleton
    _check_names(config.rename, sets, skeleton)
    found = [matched(data, skeleton, config.rename) for data in sets]
    if any(isinstance(data, Matched) for data in found):
        for data in found:
            print(_summary(data))
    rules = {str(data.notes.get("sides", "")) for data in sets}
    for data in sets:
        if len(rules) > 1 and "sides" in data.notes:
            print(f"warning: {data.folder}: left and right are {data.notes['sides']}; not so in the other data sets")
    return found


def alone(data: RecordSet, config: DataConfig) -> RecordSet:
    """One data set as a run with this recipe sees it, whatever the recipe says about others beside it.

    Raises:
        MsposeError: as `mix`.
    """
    if not config.skeleton:
        return data
    rename = {name: to for name, to in config.rename.items() if name in data.skeleton.keypoints}
    return mix([data], replace(config, rename=rename, weights=None))[0]


def of_network(data: RecordSet, facts: Facts) -> RecordSet:
    """One data set as a network's run saw it, see `alone`.

    Raises:
        MsposeError: its keypoints are not the network's, or as `mix`.
    """
    data = alone(data, facts.config.data)
    if data.skeleton.keypoints != facts.skeleton.keypoints:
        raise MsposeError(
            f"{data.folder}: its skeleton is {data.skeleton.name}, the network's {facts.skeleton.name}; they must agree"
        )
    return data


def quotas(sets: Sequence[RecordSet], split: str, weights: Sequence[float] | None, total: int) -> list[int]:
    """How many of an epoch's `total` persons come from each set: in proportion to the weights, or, without any, as many
    times everybody as are needed for `total`."""
    persons = [data.persons(split) for data in sets]
    if not weights:
        return [-(-total // sum(persons)) * count for count in persons]
    exact = [total * weight / sum(weights) for weight in weights]
    whole = [int(share) for share in exact]
    for place in sorted(range(len(sets)), key=lambda i: whole[i] - exact[i])[: total - sum(whole)]:
        whole[place] += 1  # the largest remainders
    return whole


def _check_names(rename: Mapping[str, str], sets: Sequence[RecordSet], skeleton: Skeleton) -> None:
    for name, to in rename.items():
        if to not in skeleton.keypoints:
            raise MsposeError(f"data.rename: {name}: {to}: {skeleton.name} has no {to}; it has {_list(skeleton)}")
        if name in skeleton.keypoints:
            raise MsposeError(f"data.rename: {name}: {to}: {name} is a keypoint of {skeleton.name} itself")
        if not any(name in data.skeleton.keypoints for data in sets):
            raise MsposeError(f"data.rename: {name}: {to}: no data set has a keypoint {name}")


def _summary(data: RecordSet) -> str:
    skeleton, missing, unused = data.skeleton, [], []
    if isinstance(data, Matched):
        missing = [name for name, place in zip(skeleton.keypoints, data.places, strict=True) if place is None]
        unused = [n for place, n in enumerate(data.original.skeleton.keypoints) if place not in data.places]
    said = f"{data.folder}: {len(skeleton) - len(missing)} of {skeleton.name}'s {len(skeleton)} keypoints"
    said += f"; without {', '.join(missing)}" if missing else ""
    return said + (f"; not used: {', '.join(unused)}" if unused else "")


def _list(skeleton: Skeleton) -> str:
    return ", ".join(skeleton.keypoints)
