"""Which person goes into which file."""

from pathlib import Path

import numpy as np
import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person
from tfrecords_tools.plan import Plan


def jobs(plan: Plan) -> dict[str, list]:
    return {shard.file: [job for _, job in plan.jobs(shard)] for shard in plan.shards}


def test_every_person_once_and_only_train_is_shuffled(tmp_path: Path) -> None:
    persons = [("val" if i % 3 == 0 else "train", i) for i in range(300)]
    with Plan(tmp_path / "out", persons, 64, seed=0) as plan:
        found = jobs(plan)
        assert {split for shard in plan.shards for split, _ in plan.jobs(shard)} == {"train", "val"}
    assert [len(listed) for listed in found.values()] == [50, 50, 50, 50, 50, 50]
    by_split: dict[str, list[int]] = {"train": [], "val": []}
    for file, listed in found.items():
        by_split[file.partition("-")[0]] += listed
    assert by_split["val"] == list(range(0, 300, 3))
    assert by_split["train"] != sorted(by_split["train"]) == [i for i in range(300) if i % 3]
    assert not list(tmp_path.iterdir())


def test_persons_come_back_whole(tmp_path: Path) -> None:
    person = Person("a.jpg", np.arange(6.0).reshape(2, 3), Path("a.jpg"), box=(1, 2, 3), activity="sawing", area=2.5)
    with Plan(tmp_path / "out", [("val", person), ("val", person)], 1, seed=0) as plan:
        for ((found,),) in ([listed] for listed in jobs(plan).values()):
            assert found.keypoints.tolist() == person.keypoints.tolist()
            assert {**vars(found), "keypoints": 0} == {**vars(person), "keypoints": 0}


def test_the_fingerprint_is_of_all_that_decides_the_bytes(tmp_path: Path) -> None:
    def fingerprint(persons: list, per_shard: int = 2, seed: int = 0, about: tuple = ("a",)) -> str:
        with Plan(tmp_path / "out", persons, per_shard, seed) as plan:
            return plan.fingerprint(about)

    def person(x: float, image: str = "a.jpg") -> Person:
        return Person("a.jpg", np.array([[x, 2, 2]]), Path(image))

    same = [("train", person(1)), ("val", person(2))]
    assert fingerprint(same) == fingerprint([("train", person(1)), ("val", person(2))])
    others = [
        fingerprint([("val", person(1)), ("train", person(2))]),
        fingerprint([("train", person(1.5)), ("val", person(2))]),
        fingerprint([("train", person(1, "b.jpg")), ("val", person(2))]),
        fingerprint(same[:1]),
        fingerprint(same[::-1]),
        fingerprint(same, per_shard=3),
        fingerprint(same, seed=1),
        fingerprint(same, about=("b",)),
    ]
    assert len({fingerprint(same), *others}) == 9


def test_missing_photographs_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "there.jpg").touch()
    names = ["there.jpg", "gone.jpg", "gone.jpg", "lost.jpg"]
    persons = [("val", Person(n, np.zeros((1, 3)), tmp_path / n)) for n in names]
    with Plan(tmp_path / "out", persons, 8, seed=0) as plan, pytest.raises(MsposeError, match="missing: 2, of"):
        plan.check_present()
    with Plan(tmp_path / "out", persons[:1], 8, seed=0) as plan:
        plan.check_present()
