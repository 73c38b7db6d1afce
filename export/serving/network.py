"""The exported network in onnxruntime."""

from __future__ import annotations

import numpy as np
import onnxruntime

from export.serving.artefact import Artefact
from keras_mspose import heatmaps as codec
from keras_mspose.errors import MsposeError

CROPS, HEATMAPS, KEYPOINTS = "crops", "heatmaps", "keypoints"  # tensor names, as the export has them


class Network:
    """Crops to keypoints. One call at a time.

    Args:
        artefact: whose ONNX file is run.
        threads: of one call; 0 as many as there are cores.

    Raises:
        MsposeError: the file cannot be read, or is not what the export's index says.
    """

    def __init__(self, artefact: Artefact, threads: int = 0):
        self._artefact = artefact
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait by spinning would take from those that decode photographs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(artefact.network), options, providers=["CPUExecutionProvider"]
            )
            takes = {tensor.name: tensor for tensor in self._session.get_inputs()}
            gives = {tensor.name: tensor for tensor in self._session.get_outputs()}
            size = tuple(takes[CROPS].shape[1:])
            if size != (*artefact.input_size, 3) or gives[KEYPOINTS].shape[1] != len(artefact.skeleton):
                raise ValueError(f"takes {size}, gives {gives[KEYPOINTS].shape}")
        except Exception as error:  # onnxruntime's own types share no base but this
            why = " ".join(str(error).split())
            raise MsposeError(f"{artefact.network}: not the network of this export ({why}); export again") from error

    def keypoints(self, crops: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 to (B, K, 3): x, y in crop pixels, score. Where the export asks for the flip test, of
        heatmaps that are the mean with those of the mirrored crops."""
        if not self._artefact.flip:
            return self._session.run([KEYPOINTS], {CROPS: crops})[0]
        both = np.concatenate([crops, crops[:, :, ::-1]])
        plain, mirrored = np.split(self._session.run([HEATMAPS], {CROPS: both})[0], 2)
        mean = codec.flip_mean(plain, mirrored, self._artefact.skeleton.flip_order)
        return codec.decode(mean, self._artefact.stride, self._artefact.sigma)

    def answer(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, H, W, 3) uint8 to keypoints (B, K, 3) and heatmaps (B, h, w, K)."""
        return tuple(self._session.run([KEYPOINTS, HEATMAPS], {CROPS: crops}))
