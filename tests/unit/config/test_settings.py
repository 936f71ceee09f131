"""Settings: what the three environments are, and what a mistake in a file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import SettingsError, load
from config.settings import FOLDER

GOOD = 'region = "eu-west-1"\naccount = "123456789012"\n'


def write(folder: Path, text: str, name: str = "trial") -> Path:
    (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_file_loads_under_its_own_name(path: Path) -> None:
    assert load(path.stem).environment == path.stem


def test_derived_names() -> None:
    settings = load("local")
    assert settings.bucket == "mlops-local-us-east-1-123456789012"
    assert settings.role_arn("glue") == "arn:aws:iam::123456789012:role/mlops-local-glue"
    assert settings.glue_database == "mlops_local"
    assert settings.athena_workgroup == "mlops-local"
    assert settings.churn_endpoint == "churn-local"
    assert settings.s3(settings.run_prefix("k1")) == (
        "s3://mlops-local-us-east-1-123456789012/runs/churn_training/k1/"
    )


def test_local_waits_are_short_and_those_on_aws_are_not() -> None:
    assert load("local").tasks.poll_interval == 0.1
    assert load("prod").tasks.poll_interval == 30
    assert load("prod").gate.data_checks == "refuse"


def test_the_image_has_a_version(tmp_path: Path) -> None:
    assert load("local").xgboost_image == (
        "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
    )
    china = load("trial", write(tmp_path, 'region = "cn-north-1"\naccount = "123456789012"\n'))
    assert china.xgboost_image.endswith(".amazonaws.com.cn/sagemaker-xgboost:3.2-0")


def test_a_region_without_an_image_is_named(tmp_path: Path) -> None:
    settings = load("trial", write(tmp_path, GOOD.replace("eu-west-1", "xx-west-1")))
    with pytest.raises(
        SettingsError, match=r"trial.toml: region: SageMaker has no xgboost image in 'xx-west-1'"
    ):
        _ = settings.xgboost_image


def test_the_environment_comes_from_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_ENVIRONMENT", raising=False)
    monkeypatch.delenv("AIRFLOW__MLOPS__ENVIRONMENT", raising=False)
    assert load().environment == "local"
    monkeypatch.setenv("AIRFLOW__MLOPS__ENVIRONMENT", "dev")
    assert load().environment == "dev"
    monkeypatch.setenv("MLOPS_ENVIRONMENT", "prod")
    assert load().environment == "prod"


def test_the_code_version_comes_from_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_CODE_VERSION", raising=False)
    assert load("local").code_prefix == "code/dev/"
    monkeypatch.setenv("MLOPS_CODE_VERSION", "3f2c9a1b77d0")
    assert load("local").code_prefix == "code/3f2c9a1b77d0/"
    monkeypatch.setenv("MLOPS_CODE_VERSION", "../etc")
    with pytest.raises(SettingsError, match=r"code_version \(MLOPS_CODE_VERSION\): .*got '\.\./etc'"):
        load("local")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "colour = 1\n", "trial.toml: colour: unknown key"),
        (GOOD + "[gate]\nmargins = 1\n", "trial.toml: gate.margins: unknown key"),
        ('region = "eu-west-1"\n', "trial.toml: account: missing"),
        (GOOD + "[deployment]\ncanary_percent = 80\n", "trial.toml: deployment.canary_percent: .*got 80"),
        (GOOD + '[tasks]\nretries = "two"\n', "trial.toml: tasks.retries: .*got 'two'"),
        (GOOD + "[data]\ntrain_share = 0.9\n", "trial.toml: data: .*must be below 1"),
        ("region = eu\n", "trial.toml: not valid TOML: .*line 1"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load("trial", write(tmp_path, text))


def test_an_unknown_environment_lists_the_known(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(SettingsError, match=r"no settings for environment 'tset' .*there are: trial"):
        load("tset", tmp_path)


def test_console_urls() -> None:
    assert load("prod").report_links == "console"
    assert load("prod").console_url("b", "a b/c.html") == (
        "https://us-east-1.console.aws.amazon.com/s3/object/b?region=us-east-1&prefix=a%20b/c.html"
    )
