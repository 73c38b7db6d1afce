"""What a training optimises and what it is measured by: losses, their weights, optimizer, accuracy."""

from __future__ import annotations

import keras

from keras_mspose import metrics
from keras_mspose.config import RunConfig
from keras_mspose.distillation import ENDING, TaughtLoss, shared_weights
from keras_mspose.fit_metric import CorrectKeypoints
from keras_mspose.losses import HeatmapLoss, skeleton_groups
from keras_mspose.model import REGRESSION, answer_name, head_scale, head_stride
from keras_mspose.optimizer import Adam
from keras_mspose.saved_model import Facts
from keras_mspose.schedule import WarmupDecay


def compile_model(model: keras.Model, facts: Facts, steps: int) -> None:
    """Give the network its optimizer, the loss of every head, and the accuracy of its answer.

    Args:
        model: the network, or what `distillation.with_teacher` made of it.
        facts: skeleton, metric and recipe.
        steps: of an epoch, for the learning rate's decay.
    """
    answer, settings, skeleton = answer_name(model), facts.config.training, facts.skeleton
    metric = CorrectKeypoints(
        len(skeleton),
        skeleton.scored_indices,
        metrics.THRESHOLDS[facts.metric],
        stride=head_stride(answer),
        sigma=settings.sigma,
        name=facts.metric,
    )
    optimizer = Adam(WarmupDecay.of(settings, steps), weight_decay=settings.weight_decay or None)
    optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) < 2])
    model.compile(
        optimizer=optimizer,
        loss=head_losses(model, facts),
        loss_weights=loss_weights(model, facts.config),
        metrics={answer: [metric]},
    )
    model.optimizer.build(model.trainable_variables)  # else fit traces the optimizer twice


def head_losses(model: keras.Model, facts: Facts) -> dict[str, HeatmapLoss]:
    """The loss of every output by its name: equation 1 for heads, with what the recipe adds to it."""
    settings = facts.config.training
    groups = skeleton_groups(facts.skeleton) if settings.structure else None
    return {
        name: TaughtLoss()
        if name.endswith(ENDING)
        else HeatmapLoss(
            head_scale(name),
            settings.sigma,
            settings.pyramid,
            settings.hard_keypoints if name == answer_name(model) else None,
            settings.structure,
            groups,
        )
        for name in model.output_names
    }


def loss_weights(model: keras.Model, config: RunConfig) -> dict[str, float] | None:
    """The weight of every output's loss by its name; None where all are 1."""
    given, scales, names = config.training.scale_weights, config.model.scales, model.output_names
    taught = any(name.endswith(ENDING) for name in names)
    if given is None and not taught:
        return None
    weights = dict(zip(scales, given or [1.0] * len(scales), strict=True))
    heads = [name for name in names if not name.endswith(ENDING)]
    found = {name: 1.0 if name == REGRESSION else weights[head_scale(name)] for name in heads}
    return shared_weights(names, found, config.training.teacher_weight) if taught else found


def val_key(model: keras.Model, metric: str) -> str:
    """Name of the validation accuracy in the logs of `fit`."""
    return f"val_{answer_name(model)}_{metric}" if len(model.output_names) > 1 else f"val_{metric}"
