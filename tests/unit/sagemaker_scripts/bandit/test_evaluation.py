from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from policy import config, evaluation, model, training
from policy.errors import NoRows, UnusableModel

from .conftest import BEST, CONTENT, logged_rows, write_rows


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rounds of the uniform policy that no model was trained on."""
    rows = logged_rows(600, seed=9, prefix="held")
    rows[5] = {**rows[5], "action": "17"}
    return write_rows(tmp_path_factory.mktemp("rounds"), rows)


def true_value(folder: Path) -> float:
    """Expected reward in the little world: the probability of the right arm."""
    policy = model.load(folder)
    return sum(policy.probabilities([50, colour])[best - 1] for colour, best in BEST.items()) / len(BEST)


def test_challenger_champion_and_logged_policy_on_the_same_rounds(
    rounds: Path, trained: Path, tmp_path: Path, simple: config.Config
) -> None:
    training.train(model_id="random", output=tmp_path / "random", config=simple)
    policies = {"challenger": model.load(trained), "champion": model.load(tmp_path / "random")}
    result, table = evaluation.evaluate(rounds, policies)
    assert (result["rows"], result["refused"]) == (599, {"unknown arm": 1})
    assert result["logged"]["value"] == pytest.approx(1 / 3, abs=0.06)
    challenger, champion = result["policies"]["challenger"], result["policies"]["champion"]
    assert (challenger["model_id"], champion["model_id"]) == ("warm", "random")
    truth = true_value(trained)
    assert truth > 0.8
    for name in ("ips", "snips", "dr", "switch_dr", "dr_os"):
        estimate = challenger["estimates"][name]
        assert estimate["low"] - 0.01 <= truth <= estimate["high"] + 0.01, name
        assert estimate["value"] == pytest.approx(truth, abs=0.12), name
    # The champion is the logged policy: weights are 1, and IPS is the mean reward.
    assert champion["effective_sample_size"] == pytest.approx(599)
    assert champion["estimates"]["ips"]["value"] == pytest.approx(result["logged"]["value"])
    difference = result["paired"]["champion"]["dr"]
    assert difference["value"] == pytest.approx(
        challenger["estimates"]["dr"]["value"] - champion["estimates"]["dr"]["value"]
    )
    assert difference["low"] > 0
    assert result["paired"]["logged"]["dr"]["low"] > 0
    assert len(table) == 599
    assert table["challenger_dr"].mean() == pytest.approx(challenger["estimates"]["dr"]["value"])


def test_a_model_against_itself(rounds: Path, trained: Path) -> None:
    policies = {"challenger": model.load(trained), "champion": model.load(trained)}
    paired = evaluation.evaluate(rounds, policies)[0]["paired"]["champion"]
    assert all(entry["value"] == entry["low"] == entry["high"] == 0 for entry in paired.values())


def test_models_of_other_arms_cannot_be_compared(rounds: Path, trained: Path, tmp_path: Path) -> None:
    four = config.parse({**CONTENT, "arms": {"fixed": [1, 2, 3, 4]}})
    training.train(model_id="four", output=tmp_path, config=four)
    with pytest.raises(UnusableModel, match="four cannot be compared with warm: 4 arms, not 3"):
        evaluation.evaluate(rounds, {"challenger": model.load(trained), "champion": model.load(tmp_path)})


def test_an_empty_split_is_an_error(tmp_path: Path, trained: Path) -> None:
    rows = write_rows(tmp_path, [{**row, "action": "17"} for row in logged_rows(3)])
    with pytest.raises(NoRows, match=r"nothing to evaluate: 0 usable rows .* \(refused: 3 x unknown arm\)"):
        evaluation.evaluate(rows, {"challenger": model.load(trained)})


def test_varying_arms(tmp_path: Path) -> None:
    parsed = config.parse(
        {
            "version": 1,
            "context": [{"name": "reader", "kind": "category"}],
            "arms": {"features": [{"name": "topic", "kind": "category"}]},
        }
    )
    rows = []
    for number, base in enumerate(logged_rows(900, seed=3)):
        reader = json.loads(base["observation"])[1]
        topics = ["red", "green", "blue"][: 2 + number % 2]
        arms = [{"id": f"a{number}-{topic}", "features": {"topic": topic}} for topic in topics]
        place = number * 7 % len(arms)
        rows.append(
            {
                **base,
                "observation": json.dumps([reader]),
                "arms": json.dumps(arms),
                "action": arms[place]["id"],
                "action_prob": 1 / len(arms),
                "reward": float(topics[place] == reader),
            }
        )
    training.train(
        model_id="news", output=tmp_path / "m", config=parsed, rows=write_rows(tmp_path / "train", rows[:600])
    )
    policy = model.load(tmp_path / "m")
    # Arms that training never saw, known by their features.
    arms = [{"id": "n1", "features": {"topic": "blue"}}, {"id": "n2", "features": {"topic": "green"}}]
    assert policy.probabilities(["green"], arms)[1] > 0.8
    assert policy.probabilities(["blue"], arms)[0] > 0.8
    result, _ = evaluation.evaluate(write_rows(tmp_path / "rounds", rows[600:]), {"challenger": policy})
    estimate = result["policies"]["challenger"]["estimates"]["dr"]
    # A third of the readers of every other round find nothing of theirs: at best 5/6.
    assert estimate["low"] < 5 / 6 < estimate["high"] + 0.1
    assert estimate["low"] > result["logged"]["high"]
    assert result["policies"]["champion"] is None
    assert result["paired"]["champion"] is None


def test_the_job(
    rounds: Path, trained: Path, next_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(rounds), "--challenger", str(next_model), "--champion", str(trained)]
    assert evaluation.main([*arguments, "--output", str(tmp_path / "out"), "--confidence", "0.9"]) == 0
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (content["version"], content["confidence"]) == (1, 0.9)
    assert len(pd.read_parquet(tmp_path / "out" / "rounds.parquet")) == content["rows"] == 599
    assert "599 rounds; the logged policy earned 0." in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    arguments[1] = str(tmp_path / "empty")
    message = tmp_path / "message"
    assert evaluation.main([*arguments, "--output", str(tmp_path / "x"), "--message", str(message)]) == 1
    assert message.read_text().startswith("there is no file in ")
    assert not (tmp_path / "x").exists()
    with pytest.raises(SystemExit):
        evaluation.main([*arguments, "--output", str(tmp_path / "x"), "--folds", "1"])
    assert "--folds is 1, not 2 or more" in capsys.readouterr().err


def test_one_round_gives_no_interval(tmp_path: Path, trained: Path) -> None:
    rows = write_rows(tmp_path, logged_rows(1))
    result, _ = evaluation.evaluate(rows, {"challenger": model.load(trained)})
    estimate = result["policies"]["challenger"]["estimates"]["ips"]
    assert estimate["low"] is estimate["high"] is estimate["standard_error"] is None
