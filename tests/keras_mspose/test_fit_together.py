"""The model that several machines train: each of a worker's devices takes its own rows, and together they learn what
one device learns. Several workers: `test_workers.py`."""

import subprocess
import sys

DEVICES = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_mspose.fit_together import heeded, together
from keras_mspose.interruption import Wish
from keras_mspose.layers import BatchNorm
from keras_mspose.optimizer import Adam
from keras_mspose.workers import Workers

rng = np.random.default_rng(0)
x = rng.normal(size=(32, 8, 8, 3)).astype("float32")
batches = tf.data.Dataset.from_tensor_slices((x, x.std((1, 2, 3)))).batch(8)

def trained(devices):
    keras.utils.set_random_seed(0)
    workers, asked = Workers.here(devices), Wish()
    with workers.strategy.scope():
        crop = keras.Input((8, 8, 3))
        y = BatchNorm()(keras.layers.Conv2D(4, 3, use_bias=False)(crop))
        model = keras.Model(crop, keras.layers.Dense(1)(keras.layers.GlobalMaxPooling2D()(y)))
    learner = together(model, workers)
    with workers.strategy.scope():
        learner.compile(Adam(0.01), loss="mse", metrics=["mae"])
        learner.optimizer.build(learner.trainable_variables)
    learner.build_metrics(batches)
    seen, agreed = [], heeded(learner, asked)
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(agreed.signal))
    log = learner.fit(batches, epochs=2, validation_data=batches, verbose=0, callbacks=[callback]).history
    assert seen == [None] * 8
    asked.signal = 15
    learner.evaluate(batches, verbose=0)
    assert agreed.signal == 15
    return model.get_weights(), log

one, two = trained(["CPU:0"]), trained(["CPU:0", "CPU:1"])
for a, b in zip(one[0], two[0], strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)
assert one[1].keys() == two[1].keys() == {"loss", "mae", "val_loss", "val_mae"}
for name in one[1]:
    np.testing.assert_allclose(one[1][name], two[1][name], rtol=1e-4)
"""


def test_devices_of_a_worker_share_its_batch() -> None:
    done = subprocess.run([sys.executable, "-c", DEVICES], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
