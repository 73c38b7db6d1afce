"""Write a run's network as the small file that the package ships: `python docs/lsp14-small/release.py RUN FILE.keras`.

Kernels of convolutions are rounded to half precision, and deflated inside HDF5, each kernel's low bytes
apart from its high ones. Keras reads the file like any other, in float32. What is measured afterwards is this file.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path

from keras_mspose.quiet import import_tensorflow

import_tensorflow()

import h5py  # noqa: E402
import numpy as np  # noqa: E402

from keras_mspose import saved_model  # noqa: E402
from keras_mspose.model import build_model  # noqa: E402

WEIGHTS = "model.weights.h5"  # Keras's name of the member
WORTH = 4096  # bytes under which a data set's own index outweighs what deflating saves


def round_kernels(path: Path, out: Path) -> None:
    """Copy a network into one that computes in float32, its kernels rounded to half precision."""
    trained, facts = saved_model.load(path)
    model = build_model(facts.config.model, len(facts.skeleton))
    model.set_weights(trained.get_weights())
    for weight in model.trainable_variables:
        if len(weight.shape) > 1:
            weight.assign(np.asarray(weight).astype(np.float16).astype(np.float32))
    saved_model.save(model, out, facts)


def deflate(path: Path) -> None:
    """Write a `.keras` file again, smaller and with the same content."""
    folder = path.with_suffix(".parts")
    folder.mkdir()
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            archive.extractall(folder)
        with h5py.File(folder / WEIGHTS) as source, h5py.File(folder / "small.h5", "w", libver="latest") as target:
            source.visititems(lambda name, item: _copy(target, name, item))
        os.replace(folder / "small.h5", folder / WEIGHTS)
        with zipfile.ZipFile(folder / "whole", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in names:
                # Keras jumps about in the weights while it reads them: stored, as it writes them itself.
                kind = zipfile.ZIP_STORED if name == WEIGHTS else zipfile.ZIP_DEFLATED
                archive.write(folder / name, name, compress_type=kind)
        os.replace(folder / "whole", path)
    finally:
        shutil.rmtree(folder)


def _copy(target: h5py.File, name: str, item: h5py.Group | h5py.Dataset) -> None:
    if isinstance(item, h5py.Group):
        copy = target.require_group(name)
    elif item.nbytes < WORTH:
        copy = target.create_dataset(name, data=item[()])
    else:
        copy = target.create_dataset(
            name, data=item[()], chunks=item.shape, compression="gzip", compression_opts=9, shuffle=True
        )
    copy.attrs.update(item.attrs)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    released = Path(sys.argv[2])
    round_kernels(saved_model.find(sys.argv[1]), released)
    deflate(released)
    print(f"{released}: {released.stat().st_size / 1e6:.2f} MB")
