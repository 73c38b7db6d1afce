"""Gradients with the features computed again (gradient checkpointing): the memory of one stack instead of all.

`keras.RematScope` computes every layer again by itself, which keeps what lies between layers, nearly all there is.
`keras.remat` about a whole stack would have to be a layer, of another saved file, and would move the averages of batch
normalisation twice. Here the network's own layers are called by sections.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_mspose.distillation import ENDING
from keras_mspose.heads import REGRESSION, head_stack
from keras_mspose.layers import averages_held

CROP = "crop"


class Sections:
    """A network as models that follow one another and share its layers: the stem, each stack, and the regression.

    Each takes tensors by name and answers others: heatmaps by head, and as `stack{s}` the features (B, H / 4, W / 4, C)
    that stack s begins with.

    Args:
        model: the network, or what `distillation.with_teacher` made of it.
    """

    def __init__(self, model: keras.Model):
        self.heads = [name for name in model.output_names if not name.endswith(ENDING)]
        by_stack = {stack: {} for stack in sorted({head_stack(name) for name in self.heads if name != REGRESSION})}
        for name in self.heads:
            if name != REGRESSION:
                by_stack[head_stack(name)][name] = model.output[name]
        begins = {s: model.get_layer(f"stack{s - 1}_next" if s > 1 else "stem_d_add").output for s in by_stack}
        stem = keras.Model(model.inputs, {"stack1": begins[1]}, name="stem")
        self.parts: list[tuple[list[str], keras.Model]] = [([CROP], stem)]
        for stack, heads in by_stack.items():
            following = {f"stack{stack + 1}": begins[stack + 1]} if stack + 1 in begins else {}
            name = f"stack{stack}"
            self.parts.append(([name], keras.Model([begins[stack]], {**heads, **following}, name=name)))
        if REGRESSION in self.heads:
            last = by_stack[max(by_stack)]
            answer = keras.Model(list(last.values()), {REGRESSION: model.output[REGRESSION]}, name=REGRESSION)
            self.parts.append((list(last), answer))
        taught = {name: maps for name, maps in model.output.items() if name not in self.heads}
        given = [*model.inputs, *(model.output[name] for name in self.heads)]
        self.taught = keras.Model(given, taught, name="taught") if taught else None

    def gradients(self, crops: tf.Tensor, loss_of: Callable[[dict[str, tf.Tensor]], tf.Tensor]) -> dict[int, tf.Tensor]:
        """Gradients of a loss of the network's answers in training mode.

        Args:
            crops: (B, H, W, 3) uint8.
            loss_of: all outputs of the model by name to the loss; called once.

        Returns:
            The gradient of every trainable variable, by the variable's `id`.
        """
        values = {CROP: crops}
        for names, part in self.parts:
            values |= part([values[name] for name in names], training=True)
        heads = {name: values[name] for name in self.heads}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(heads)
            taught = self.taught([crops, *heads.values()], training=True) if self.taught else {}
            loss = loss_of({**heads, **taught})
        due = tape.gradient(loss, heads)
        found: dict[int, tf.Tensor] = {}
        for names, part in reversed(self.parts):
            # Not before all later parts are done with: else features of several would be in memory side by side, or the
            # graph's optimizer would see the same computation twice, and keep what the first one gave.
            with tf.control_dependencies([*due.values(), *found.values()]):
                given = {name: tf.identity(values[name]) for name in names}
            features = {name: value for name, value in given.items() if value.dtype.is_floating}
            variables = part.trainable_variables
            with tf.GradientTape() as tape, averages_held():
                tape.watch(features)
                answers = part(list(given.values()), training=True)
            asked = {name: due.pop(name) for name in answers}
            to_features, to_variables = tape.gradient(answers, (features, variables), output_gradients=asked)
            for name, gradient in to_features.items():
                due[name] = due[name] + gradient if name in due else gradient
            found |= {id(variable): gradient for variable, gradient in zip(variables, to_variables, strict=True)}
        return found
