"""Adam as one TensorFlow operation a variable.

Keras writes Adam's update as some twenty operations; with several hundred variables, tracing and launching those costs
more than the arithmetic. The numbers are the same (a test compares them).
"""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_mspose")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` on TensorFlow's fused kernel; the same arguments, without `amsgrad`."""

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        steps = tf.cast(self.iterations, variable.dtype) + 1
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle if isinstance(variable, tf.Variable) else variable.value.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.constant(self.beta_1, variable.dtype), steps),
            beta2_power=tf.pow(tf.constant(self.beta_2, variable.dtype), steps),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )
