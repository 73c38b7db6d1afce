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

    def apply(self, grads: list[tf.Tensor], trainable_variables: list[keras.Variable] | None = None) -> tf.Tensor:
        steps = tf.cast(self.iterations, tf.float32) + 1.0
        numbers = [tf.constant(number, tf.float32) for number in (self.beta_1, self.beta_2, self.epsilon)]
        # Numbers of the step, not of each variable. Past Keras's tracking of attributes, which would save them.
        self.__dict__["_step"] = [*numbers, *(tf.pow(beta, steps) for beta in numbers[:2])]
        return super().apply(grads, trainable_variables)

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        beta_1, beta_2, epsilon, beta_1_power, beta_2_power = (tf.cast(n, variable.dtype) for n in self._step)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle if isinstance(variable, tf.Variable) else variable.value.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )
