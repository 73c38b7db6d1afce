"""`python -m tfrecords_tools.matlab_reader FILE VARIABLE OPTIONS MEMORY`: one variable, pickled, on standard output.

Started by `matlab.load`, for which it may break down.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import sys

from scipy.io import loadmat


def main(path: str, variable: str, options: str, memory: str) -> int:
    """Write the variable, or None; on standard error, last, why it cannot be read."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        pass
    else:
        with contextlib.suppress(ValueError, OSError):  # macOS refuses it
            resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        value = loadmat(path, variable_names=[variable], **json.loads(options)).get(variable)
        pickle.dump(value, sys.stdout.buffer, protocol=5)
    except MemoryError:
        print(f"declares more than {int(memory) >> 20} megabytes", file=sys.stderr)
        return 1
    except Exception as error:  # SciPy raises types of many kinds for a file that is not MATLAB's
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
