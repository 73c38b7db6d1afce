"""Reading the MATLAB files that data sets come as.

A process of its own does it: over some damaged files SciPy's reader ends the process that runs it, and others declare
more memory than there is. The conversion is to say so and to go on living.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from keras_mspose.errors import MsposeError

MEMORY = 2 << 30  # bytes for the reader; all of MPII takes half a gigabyte
SECONDS = 600
READER = "tfrecords_tools.matlab_reader"


def load(path: Path, variable: str, **how: Any) -> Any:
    """One variable of a .mat file, or None where the file has no such variable.

    Args:
        how: see `scipy.io.loadmat`; what JSON can say.

    Raises:
        MsposeError: the file cannot be read.
    """
    command = [sys.executable, "-m", READER, str(path), variable, json.dumps(how), str(MEMORY)]
    # each of OpenBLAS's threads, which are of no use here, reserves memory that counts
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise MsposeError(f"{path}: not read after {SECONDS} seconds; download it again") from error
    why = done.stderr.decode(errors="replace").strip().splitlines()
    said = why[-1] if why and done.returncode > 0 else f"its reader broke down, exit code {done.returncode}"
    if done.returncode == 0:
        try:
            return pickle.loads(done.stdout)
        except (EOFError, pickle.UnpicklingError) as error:
            said = str(error)
    raise MsposeError(f"{path}: not a readable MATLAB file ({said}); download it again")
