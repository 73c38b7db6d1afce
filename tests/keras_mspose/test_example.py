"""Examples serialised here are byte for byte those of protobuf."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.train import Example, Feature

from keras_mspose import example

NAMES = st.text("ab/_é", min_size=1, max_size=5)
INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)
FLOATS = st.lists(st.floats(width=32), max_size=4)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=400) | INTEGERS | FLOATS.map(np.array) | FLOATS.map(tuple)))
def test_as_protobuf(features: dict) -> None:
    expected = Example()
    for name, values in features.items():
        feature: Feature = expected.features.feature[name]
        if isinstance(values, bytes):
            feature.bytes_list.value.append(values)
        elif isinstance(values, list):
            feature.int64_list.SetInParent()
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.SetInParent()
            feature.float_list.value.extend(list(values))
    expected.features.SetInParent()
    assert example.serialised(features) == expected.SerializeToString(deterministic=True)


def test_by_hand() -> None:
    """Lengths of 127 and 128 bytes on either side of one varint byte, and an integer below 0."""
    assert example.serialised({"a": [-1]}) == bytes.fromhex("0a15 0a13 0a0161 120e 1a0c 0a0a ffffffffffffffffff01")
    assert example.serialised({"b": np.array([1.0])}) == bytes.fromhex("0a0f 0a0d 0a0162 1208 1206 0a04 0000803f")
    for size, head in ((127, "0a7f"), (128, "0a8001")):
        assert bytes.fromhex(head) + b"x" * size in example.serialised({"c": b"x" * size})


def test_an_integer_too_large() -> None:
    with pytest.raises(OverflowError, match="64 bits"):
        example.serialised({"a": [2**63]})
