from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from policy import config, model, training
from policy.errors import InvalidConfig, NoRows, PolicyError, UnusableModel

from .conftest import BEST, CONTENT, logged_rows, write_rows


def pack(folder: Path, target: Path) -> Path:
    """model.tar.gz in a folder of its own, as a channel brings it."""
    target.mkdir()
    with tarfile.open(target / "model.tar.gz", "w:gz") as tar:
        for name in ("policy.json", "vw.model"):
            tar.add(folder / name, name)
    return target


def test_a_first_model_without_rows_is_uniform(tmp_path: Path, simple: config.Config) -> None:
    trained = training.train(model_id="first", output=tmp_path, config=simple)
    assert (trained.metadata.rows, trained.average_loss) == (0, None)
    policy = model.load(tmp_path)
    assert policy.probabilities([50, "red"]) == [pytest.approx(1 / 3)] * 3


@pytest.mark.parametrize("kind", ["egreedy", "bag", "cover", "squarecb", "softmax", "regcb"])
def test_every_exploration_finds_the_arm_that_pays(tmp_path: Path, rows_folder: Path, kind: str) -> None:
    exploration = {"kind": kind} | ({"gamma_scale": 100} if kind == "squarecb" else {})
    parsed = config.parse({**CONTENT, "exploration": exploration, "ignore_linear": ["s"]})
    training.train(model_id="warm", output=tmp_path, config=parsed, rows=rows_folder)
    policy = model.load(tmp_path)
    for colour, best in BEST.items():
        chances = policy.probabilities([50, colour])
        assert sum(chances) == pytest.approx(1)
        assert max(chances) == chances[best - 1]
        assert chances[best - 1] > 0.6, (colour, chances)


def test_the_next_model_goes_on_where_its_parent_stopped(
    trained: Path, next_model: Path, rows_folder: Path, tmp_path: Path, simple: config.Config
) -> None:
    metadata = model.load(next_model).metadata
    assert (metadata.model_id, metadata.parent_model_id) == ("next", "warm")
    assert (metadata.rows, metadata.total_rows) == (300, 700)
    assert metadata.encoder.state == model.load(trained).metadata.encoder.state
    # Two steps learn what one step over the same rows in the same order learns.
    both = write_rows(tmp_path / "both", logged_rows(400), "0")
    write_rows(both, logged_rows(300, seed=1, prefix="f"), "1")
    once = tmp_path / "once"
    training.train(model_id="once", output=once, config=simple, rows=both)
    expected, found = model.load(once), model.load(next_model)
    # The edges differ, as the first 400 rows are not all 700: compare where the size says nothing.
    for colour, best in BEST.items():
        assert found.probabilities([50, colour])[best - 1] == pytest.approx(
            expected.probabilities([50, colour])[best - 1], abs=0.05
        )


def test_a_parent_comes_as_an_archive(trained: Path, tmp_path: Path) -> None:
    parent = model.folder_of(pack(trained, tmp_path / "parent"))
    rows = write_rows(tmp_path / "rows", logged_rows(50, seed=2))
    done = training.train(model_id="n", output=tmp_path / "out", parent=parent, rows=rows)
    assert done.metadata.total_rows == 450


def test_a_random_parent_gets_its_encoder_with_its_first_rows(
    tmp_path: Path, simple: config.Config, rows_folder: Path
) -> None:
    training.train(model_id="first", output=tmp_path / "first", config=simple)
    done = training.train(
        model_id="second", output=tmp_path / "second", parent=tmp_path / "first", rows=rows_folder
    )
    assert len(done.metadata.encoder.state["size"]["edges"]) == 30
    assert max(model.load(tmp_path / "second").probabilities([50, "red"])) > 0.6


def test_training_is_the_same_every_time(tmp_path: Path, simple: config.Config, rows_folder: Path) -> None:
    content = []
    for name in ("one", "two"):
        training.train(model_id="m", output=tmp_path / name, config=simple, rows=rows_folder, seed=3)
        content.append([(tmp_path / name / file).read_bytes() for file in ("policy.json", "vw.model")])
    assert content[0] == content[1]


def test_more_passes_learn_more_and_count_rows_once(tmp_path: Path, rows_folder: Path) -> None:
    parsed = config.parse({**CONTENT, "learning": {"passes": 3}})
    done = training.train(model_id="m", output=tmp_path, config=parsed, rows=rows_folder)
    assert done.metadata.rows == 400


def test_refused_rows_are_counted_and_too_many_stop_the_job(tmp_path: Path, simple: config.Config) -> None:
    rows = logged_rows(100)
    some = [{**row, "action": "9"} if place < 10 else row for place, row in enumerate(rows)]
    done = training.train(
        model_id="m", output=tmp_path / "m", config=simple, rows=write_rows(tmp_path / "some", some)
    )
    assert (done.metadata.rows, done.metadata.refused) == (90, {"unknown arm": 10})
    most = [{**row, "action": "9"} if place < 60 else row for place, row in enumerate(rows)]
    with pytest.raises(NoRows, match=r"60 rows are refused \(60 x unknown arm\) and 40 can be used; .*e0: "):
        training.train(
            model_id="m", output=tmp_path / "n", config=simple, rows=write_rows(tmp_path / "most", most)
        )
    assert not (tmp_path / "n" / "policy.json").exists()


def test_unusable_requests(tmp_path: Path, trained: Path, rows_folder: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"neither a policy_config\.json nor a parent"):
        training.train(model_id="m", output=tmp_path)
    with pytest.raises(InvalidConfig, match="model_id is 'a/b'"):
        training.train(model_id="a/b", output=tmp_path, parent=trained)
    with pytest.raises(InvalidConfig, match="model_id is"):
        training.train(model_id="m" * 64, output=tmp_path, parent=trained)
    other = config.parse({**CONTENT, "minimum_probability": 0.01})
    with pytest.raises(InvalidConfig, match="warm was trained with another minimum_probability"):
        training.train(model_id="m", output=tmp_path, parent=trained, config=other, rows=rows_folder)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "rows.jsonl").write_text("\n")
    with pytest.raises(NoRows, match="there is no row in"):
        training.train(model_id="m", output=tmp_path, parent=trained, rows=tmp_path / "empty")


def test_vw_that_fails_is_quoted(tmp_path: Path, simple: config.Config, rows_folder: Path) -> None:
    broken = tmp_path / "broken.model"
    broken.write_bytes(b"no model")
    with pytest.raises(UnusableModel, match=r"Vowpal Wabbit ended with code [1-9]"):
        training._learn(simple, broken, tmp_path / "out", 0, [b"shared |s a\n|a b\n\n"] * 10_000)


def test_damaged_models_are_refused(trained: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file in ("policy.json", "vw.model"):
            (folder / file).write_bytes((trained / file).read_bytes())
        return folder

    folder = copy("cut")
    (folder / "vw.model").write_bytes((trained / "vw.model").read_bytes()[:-10])
    with pytest.raises(UnusableModel, match="its SHA-256 differs"):
        model.load(folder)

    folder = copy("other")
    content = json.loads((folder / "policy.json").read_text())
    content["probes"][0]["probabilities"] = [0.2, 0.3, 0.5]
    (folder / "policy.json").write_text(json.dumps(content))
    with pytest.raises(UnusableModel, match="answers probe 0 with other probabilities than in training"):
        model.load(folder)
    content["probes"][0]["probabilities"] = [0.25] * 4
    (folder / "policy.json").write_text(json.dumps(content))
    with pytest.raises(UnusableModel, match="has 3 arms and was trained with 4"):
        model.load(folder)

    folder = copy("none")
    (folder / "vw.model").unlink()
    with pytest.raises(UnusableModel, match=r"has no vw\.model"):
        model.load(folder)
    (folder / "policy.json").write_text("{")
    with pytest.raises(UnusableModel, match=r"policy.json cannot be read"):
        model.load(folder)


def test_an_archive_cannot_write_elsewhere(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("../outside")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(UnusableModel, match="cannot be unpacked"):
        model.unpack(tmp_path / "model.tar.gz", tmp_path / "inside")
    assert not (tmp_path / "outside").exists()


def test_probabilities_are_proper() -> None:
    assert model.proper([-1e-9, 0.5, 0.4999]) == [
        0.0,
        pytest.approx(0.5, abs=1e-4),
        pytest.approx(0.5, abs=1e-4),
    ]
    assert sum(model.proper([0.1] * 7)) == pytest.approx(1, abs=1e-12)
    floored = model.proper([0.0, 1.0], floor=0.1)
    assert floored == [pytest.approx(0.1), pytest.approx(0.9)]
    for raw in ([0.0, 0.0], [float("nan"), 1.0]):
        with pytest.raises(UnusableModel, match="not a distribution"):
            model.proper(raw)


def test_the_job(
    tmp_path: Path, trained: Path, rows_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = {
        "SM_MODEL_DIR": str(tmp_path / "model"),
        "SM_OUTPUT_DATA_DIR": str(tmp_path / "data"),
        "SM_CHANNEL_PARENT": str(pack(trained, tmp_path / "parent")),
        "SM_CHANNEL_TRAIN": str(
            write_rows(
                tmp_path / "rows", [{**logged_rows(1)[0], "reward": 3}, *logged_rows(20, seed=4, prefix="n")]
            )
        ),
    }
    assert training.main(["--model_id", "m7", "--seed", "1"], env) == 0
    out = capsys.readouterr().out
    assert "refused event e0: reward: 3 is outside [0, 1]" in out
    assert "rows=20; refused=1; average_loss=" in out
    [entry] = (tmp_path / "data" / "refused.jsonl").read_text().splitlines()
    assert json.loads(entry)["event_id"] == "e0"
    assert model.load(tmp_path / "model").metadata.total_rows == 420
    assert training.main(["--model_id", "m7"], {"SM_CHANNEL_PARENT": str(tmp_path)}) == 1
    assert "policy.json cannot be read" in capsys.readouterr().err
    assert issubclass(NoRows, PolicyError)
