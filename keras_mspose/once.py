"""Constants that a traced graph holds once, however many layers and variables ask for them.

A training step of several hundred variables is some ten thousand operations; each takes time to trace and memory to
keep, in Python and in TensorFlow, whether it computes anything or not.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

_MADE = "_keras_mspose_once"


def once(name: str, make: Callable[[], tf.Tensor]) -> tf.Tensor:
    """What `make` gives, made at the first call of this name in the graph that is being traced; each time when eager.

    Kept by the graph itself, and gone with it. Loops and branches are graphs of their own.
    """
    if tf.executing_eagerly():
        return make()
    graph = tf.compat.v1.get_default_graph()
    made = getattr(graph, _MADE, None)
    if made is None:
        made = {}
        setattr(graph, _MADE, made)
    if name not in made:
        with tf.control_dependencies(None):
            made[name] = make()
    return made[name]
