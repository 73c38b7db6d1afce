"""Whose rules PCKh follows. Public code agrees on the distances and disagrees on what is averaged.

`mpii`     the official tool kit: a distance of exactly the threshold is right; Head is upper neck and head top; the
           figure is the Total, pooled over 14 joints (without pelvis and thorax).
`bearpaw`  bearpaw/pytorch-pose, as papers after Newell et al. quote it: below the threshold, Head is the head top
           alone, and the figure is the unweighted mean over the 14 joints.
`hrnet`    the simple-baselines and HRNet family: Head is the head top alone, the mean is weighted by how often a joint
           is labelled, which is the pooled share. What it prints as Mean@0.1 is measured at 0.11.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.metrics import Accuracy, accuracy
from keras_mspose.skeleton import Skeleton


@dataclass(frozen=True)
class Protocol:
    """Rules of one evaluation.

    Attributes:
        name: as the command line has it.
        strict: a distance of exactly the threshold is wrong.
        neck_in_head: Head averages upper neck and head top; else it is the head top alone.
        pooled: the figure is the share of all right keypoints; else the unweighted mean over the joints.
        tenth: the threshold that its code calls 0.1.
    """

    name: str
    strict: bool
    neck_in_head: bool
    pooled: bool
    tenth: float = 0.1

    @property
    def rules(self) -> str:
        """One line that says how this protocol differs from the others."""
        sign = "<" if self.strict else "<="
        head = "upper neck and head top" if self.neck_in_head else "head top"
        mean = "pooled over the joints" if self.pooled else "unweighted over the joints"
        tenth = f"; its 0.1 is {self.tenth:g}" if self.tenth != 0.1 else ""
        return f"distance {sign} threshold, Head is {head}, mean {mean}{tenth}"


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol("mpii", strict=False, neck_in_head=True, pooled=True),
        Protocol("bearpaw", strict=True, neck_in_head=False, pooled=False),
        Protocol("hrnet", strict=False, neck_in_head=False, pooled=True, tenth=0.11),
    )
}


@dataclass(frozen=True)
class Score:
    """Predictions scored by one protocol. Percentages.

    Attributes:
        protocol: its name.
        accuracy: per joint and per group, with both means.
        mean: the figure that the protocol quotes.
        at_tenth: the figure at 0.1, the true threshold.
        called_tenth: the figure at the threshold that the protocol's own code calls 0.1.
    """

    protocol: str
    accuracy: Accuracy
    mean: float
    at_tenth: float
    called_tenth: float

    def to_dict(self) -> dict:
        """JSON-ready form, at full precision."""
        found = self.accuracy.to_dict()
        return {
            "protocol": self.protocol,
            "threshold": found["threshold"],
            "mean": self.mean,
            "unweighted_mean": found["mean"],
            "weighted_mean": found["weighted_mean"],
            "groups": {**found["groups"], "Total": found["weighted_mean"]},
            "joints": found["joints"],
            "counts": found["counts"],
            "persons": found["persons"],
            "auc": found["auc"],
            "mean_at_0.1": self.at_tenth,
            "called_0.1": {"threshold": PROTOCOLS[self.protocol].tenth, "mean": self.called_tenth},
        }


def score(distances: np.ndarray, skeleton: Skeleton, protocol: str, threshold: float = 0.5) -> Score:
    """Score distances by a protocol.

    Args:
        distances: (P, K) in head sizes, as `metrics.normalised_distances` gives them.
        skeleton: with a `head` (neck, head top).
        protocol: a name among PROTOCOLS.
        threshold: in head sizes.

    Raises:
        MsposeError: unknown protocol, or a skeleton without a head, which these rules need.
    """
    if protocol not in PROTOCOLS:
        raise MsposeError(f"protocol {protocol!r}: unknown; there are {', '.join(PROTOCOLS)}")
    if skeleton.head is None:
        raise MsposeError(f"skeleton {skeleton.name}: has no head; the protocols of PCKh need neck and head top")
    rules = PROTOCOLS[protocol]
    head = skeleton.head if rules.neck_in_head else skeleton.head[1:]
    ours = replace(skeleton, groups={**skeleton.groups, "Head": head})

    def at(limit: float) -> Accuracy:
        return accuracy(distances, ours, "pckh", limit, strict=rules.strict)

    def mean(found: Accuracy) -> float:
        return found.weighted_mean if rules.pooled else found.mean

    found = at(threshold)
    return Score(
        protocol=protocol,
        accuracy=found,
        mean=mean(found),
        at_tenth=mean(at(0.1)),
        called_tenth=mean(at(rules.tenth)),
    )
