"""Multi-scale supervised single-person pose networks with Keras 3."""

__version__ = "0.1.0"
