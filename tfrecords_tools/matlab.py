"""Reading the MATLAB files that data sets come as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scipy.io import loadmat

from keras_mspose.errors import MsposeError


def load(path: Path, variable: str, **how: Any) -> Any:
    """One variable of a .mat file, or None where the file has no such variable.

    Args:
        how: see `scipy.io.loadmat`.

    Raises:
        MsposeError: the file cannot be read.
    """
    try:
        return loadmat(path, variable_names=[variable], **how).get(variable)
    except Exception as error:  # scipy raises types of many kinds for a file that is not MATLAB's
        raise MsposeError(f"{path}: not a readable MATLAB file ({error}); download it again") from error
