"""Names of photographs stay inside the images folder, in every converter that reads names from a file."""

from pathlib import Path

import pytest

from tfrecords_tools import photographs


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"")
    return tmp_path / "images"


@pytest.mark.parametrize("name", ["a.jpg", "sub/a.jpg", "./sub//a.jpg", "..jpg", "Bild ä\u202f1.jpg", "not/there.png"])
def test_names_inside(images: Path, name: str) -> None:
    path = photographs.inside(images, name)
    assert path.relative_to(images).as_posix() == name.replace("./", "").replace("//", "/")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/etc/passwd", "leads out of images/"),
        ("../secret.jpg", "leads out of images/"),
        ("sub/../../secret.jpg", "leads out of images/"),
        ("sub/../a.jpg", "leads out of images/"),
        ("C:/a.jpg", "leads out of images/"),
        ("..\\secret.jpg", "write / between folders"),
        ("", "expected the name of a file"),
        (".", "expected the name of a file"),
        ("a\0.jpg", "expected the name of a file"),
        ("a\n.jpg", "expected the name of a file"),
        ("\ud800.jpg", "expected the name of a file"),
        (None, "expected the name of a file"),
        (7, "expected the name of a file"),
    ],
)
def test_names_outside(images: Path, name: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        photographs.inside(images, name)


def test_links(images: Path, tmp_path: Path) -> None:
    (images / "own.jpg").symlink_to(images / "sub" / "a.jpg")
    (images / "escape.jpg").symlink_to(tmp_path / "secret.jpg")
    (images / "away").symlink_to(tmp_path)
    (images / "loop").symlink_to(images / "loop")
    (tmp_path / "elsewhere").symlink_to(images)
    assert photographs.inside(images, "own.jpg") == images / "own.jpg"
    assert photographs.inside(tmp_path / "elsewhere", "sub/a.jpg") == tmp_path / "elsewhere" / "sub" / "a.jpg"
    for name in ("escape.jpg", "away/secret.jpg"):
        with pytest.raises(ValueError, match="is a link that leads out of images/"):
            photographs.inside(images, name)
    photographs.inside(images, "loop")  # is no file, which the writer says
