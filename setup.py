"""Installs the three packages and the `mspose` command. Tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def requirements() -> list[str]:
    lines = (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


setup(
    name="keras-mspose",
    version="0.1.0",
    description="Train, measure and ship single-person 2D pose networks with Keras 3: "
    "the Multi-Scale Supervised Network of Ke, Chang, Qi and Lyu (ICIP 2018)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=[
        "keras_mspose",
        "keras_mspose.ablations",
        "keras_mspose.recipes",
        "tfrecords_tools",
        "tfrecords_tools.rendering",
        "export",
        "export.app",
        "export.serving",
    ],
    package_data={
        "keras_mspose": ["templates/*.html", "weights/*.keras"],
        "keras_mspose.ablations": ["*.yaml"],
        "keras_mspose.recipes": ["*.yaml"],
        "export": ["page/*"],
        "export.app": ["page/*"],
    },
    python_requires=">=3.10,<3.14",
    install_requires=requirements(),
    extras_require={
        "bench": ["torch>=2.6"],
        "frame": ["pandas>=2"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "test": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "pandas>=2", "ruff>=0.8", "selenium>=4.20"],
    },
    entry_points={"console_scripts": ["mspose=keras_mspose.cli:main"]},
)
