"""What differs between environments, in one typed place: `load("dev")` reads config/dev.toml.

Settings name things (bucket, roles, endpoint ...) and carry policy (timeouts, canary, gate margins). Names
that can be derived are derived here and nowhere else, so that DAGs and CloudFormation templates agree.
Nothing here calls AWS, and no secret belongs here.

The environment is the argument, else MLOPS_ENVIRONMENT, else AIRFLOW__MLOPS__ENVIRONMENT (MWAA's way to pass
a setting `mlops.environment`), else "local".
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field, ValidationError, model_validator

from config.bandit import Bandit
from config.monitoring import Monitoring
from config.section import Seconds, Section, Share

FOLDER = Path(__file__).resolve().parent
CODE_VERSION_FILE = "code_version"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class SettingsError(ValueError):
    """A settings file that cannot be used. The message names the file, the key and what is wrong with it."""


class Tasks(Section):
    """How Airflow runs the tasks."""

    owner: str = "mlops"
    retries: int = Field(2, ge=0)
    retry_delay: Seconds = 60
    poll_interval: float = Field(30, ge=0.1, description="seconds between two looks at a running job")
    deferrable: bool = Field(True, description="wait in the triggerer; false waits in the worker")


class Timeouts(Section):
    """Seconds after which each job is stopped by AWS (`MaxRuntimeInSeconds`, Glue's timeout)."""

    validate_data: Seconds = 900
    etl: Seconds = 3600
    profile: Seconds = 900
    train: Seconds = 3600
    evaluate: Seconds = 1800
    baseline: Seconds = 1800
    analyse: Seconds = 1800
    deploy: Seconds = 3600


class Compute(Section):
    """Instance types and counts."""

    processing_instance: str = "ml.m5.large"
    training_instance: str = "ml.m5.xlarge"
    training_instances: int = Field(1, ge=1)
    endpoint_instance: str = "ml.m5.large"
    endpoint_instances: int = Field(2, ge=1)
    endpoint_serverless_mb: Literal[0, 1024, 2048, 3072, 4096, 5120, 6144] = Field(
        0,
        description="memory of a serverless endpoint, which costs nothing while nobody asks it, and has "
        "neither canary nor capture; 0: instances",
    )
    volume_gb: int = Field(20, ge=1)
    glue_worker: Literal["G.1X", "G.2X", "G.4X", "G.8X"] = "G.1X"
    glue_workers: int = Field(2, ge=2)


class Deployment(Section):
    """How a new model takes over the endpoint: a blue/green canary, rolled back when an alarm rings."""

    canary_percent: int = Field(
        50, ge=1, le=50, description="of the new fleet; AWS serves it with whole instances, so two make 50"
    )
    canary_wait: Seconds = Field(600, le=3600)
    termination_wait: Seconds = Field(300, le=3600)
    maximum_time: int = Field(3600, ge=600, le=28800)
    capture_percent: int = Field(100, ge=0, le=100)
    smoke_tolerance: float = Field(1e-6, gt=0)
    server_error_threshold: int = Field(1, ge=1, description="5xx answers a minute that ring the alarm")
    latency_threshold: int = Field(
        500_000, ge=1, description="mean model latency in microseconds that rings the alarm"
    )


class Gate(Section):
    """When a challenger may replace the champion."""

    margin: float = Field(
        0.02,
        ge=0,
        description="Log loss (nats) by which a challenger may be worse than the champion, at the upper end "
        "of the paired bootstrap interval.",
    )
    confidence: Share = 0.95
    replicates: int = Field(2000, ge=100)
    seed: int = 7
    threshold: Share = Field(
        0.5, description="Probability from which a customer counts as a churner in the confusion matrix."
    )
    data_checks: Literal["refuse", "warn"] = Field(
        "refuse",
        title="When a data check fails",
        description="refuse: the challenger is not deployed. warn: it is shown and does not decide.",
    )
    costs: dict[Literal["false_negative", "false_positive", "true_positive", "true_negative"], float] = Field(
        {
            "false_negative": 500,
            "false_positive": 100,
            "true_positive": 100,
            "true_negative": 0,
        }
    )


class Data(Section):
    """What raw data must look like, and how it is split."""

    maximum_missing: float = Field(0.05, ge=0, le=1)
    split: Literal["hash", "reference"] = Field(
        "hash",
        description="hash: seeded and stable, a customer stays in its split when the file grows. "
        "reference: the published split of the 3333 rows (2333/666/334).",
    )
    seed: int = Field(1729, ge=0, lt=2**31, title="Seed of the split")
    train_share: Share = 0.7
    validation_share: Share = 0.2

    @model_validator(mode="after")
    def _leaves_a_holdout(self) -> Data:
        if self.train_share + self.validation_share >= 1:
            raise ValueError("train_share + validation_share must be below 1: the rest is the hold-out")
        return self


class XGBoost(Section):
    """Hyperparameters of the reference; the trigger form's defaults, and its schema."""

    max_depth: int = Field(5, ge=1, le=30, title="Depth of a tree")
    eta: float = Field(0.2, gt=0, le=1, title="Learning rate (eta)")
    num_round: int = Field(100, ge=1, le=100_000, title="Rounds", description="Number of trees, at most.")
    early_stopping_rounds: int = Field(
        0,
        ge=0,
        title="Early stopping",
        description="Stop when the validation log loss has not improved for so many rounds. 0: never.",
    )
    gamma: float = Field(4, ge=0, description="Loss reduction that a further split of a leaf must bring.")
    min_child_weight: float = Field(
        6, ge=0, title="Minimum child weight", description="Sum of weights that a leaf must hold."
    )
    subsample: float = Field(0.8, gt=0, le=1, description="Share of the rows that a tree sees.")
    scale_pos_weight: float = Field(
        1,
        gt=0,
        title="Class weight of churners",
        description="Above 1 finds more churners, at the price of probabilities that are too high.",
    )
    seed: int = Field(0, ge=0, lt=2**31, title="Seed of the training")


class Infrastructure(Section):
    """What `infrastructure/` is deployed with; the templates' own defaults are the same."""

    use_kms: bool = Field(True, description="a key of the environment's own, else those that AWS manages")
    use_nat: bool = Field(False, description="one way to the internet instead of an endpoint a service")
    airflow_class: Literal["mw1.micro", "mw1.small", "mw1.medium", "mw1.large"] = "mw1.small"
    airflow_workers: int = Field(3, ge=1, le=25)
    airflow_public: bool = Field(True, description="the UI's address is public, its login is IAM either way")
    run_retention_days: int = Field(365, ge=1)
    capture_retention_days: int = Field(90, ge=1)
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365] = 30
    function_timeout: int = Field(60, ge=20, le=120, description="seconds that trigger_dag may take")
    retry_seconds: int = Field(360, ge=20, description="how long an event waits for its next delivery")


class Settings(Section):
    """One environment. Attributes come from its TOML file, properties are derived from them."""

    environment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,11}$")]
    project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,11}$")] = "mlops"
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    partition: Literal["aws", "aws-cn", "aws-us-gov"] = "aws"
    code_version: Annotated[str, Field(pattern=f"^{VERSION.pattern}$")]
    schedules: dict[str, str] = Field(
        {}, description="of a DAG: a cron expression in UTC, or the URIs of the assets that start it"
    )
    report_links: Literal["console", "presigned"] = Field(
        "console", description="console: needs a login, never ends. presigned: needs none, ends after a week."
    )
    tasks: Tasks = Tasks()
    timeouts: Timeouts = Timeouts()
    compute: Compute = Compute()
    deployment: Deployment = Deployment()
    gate: Gate = Gate()
    data: Data = Data()
    xgboost: XGBoost = XGBoost()
    monitoring: Monitoring = Monitoring()
    bandit: Bandit = Bandit()
    infrastructure: Infrastructure = Infrastructure()

    @model_validator(mode="after")
    def _captures_what_it_watches(self) -> Settings:
        if self.compute.endpoint_serverless_mb and self.monitoring.mode != "off":
            raise ValueError("monitoring.mode must be off: a serverless endpoint captures no requests")
        return self

    @property
    def bucket(self) -> str:
        return f"{self.project}-{self.environment}-{self.region}-{self.account}"

    @property
    def stem(self) -> str:
        """What the names of this environment's account-wide resources begin with."""
        return f"{self.project}-{self.environment}"

    def role_arn(self, service: Literal["sagemaker", "glue", "bandit", "firehose"]) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{self.stem}-{service}"

    @property
    def glue_database(self) -> str:
        return self.stem.replace("-", "_")

    @property
    def athena_workgroup(self) -> str:
        return self.stem

    @property
    def churn_endpoint(self) -> str:
        return f"churn-{self.environment}"

    @property
    def churn_model_group(self) -> str:
        return f"churn-{self.environment}"

    @property
    def churn_alarms(self) -> list[str]:
        """Alarms that roll a deployment back; infrastructure/monitoring.yaml creates them."""
        return [f"{self.churn_endpoint}-server-errors", f"{self.churn_endpoint}-latency"]

    @property
    def drift_alarm(self) -> str:
        """Rings when the world is no longer the baseline's; infrastructure/monitoring.yaml creates it."""
        return f"{self.churn_endpoint}-drift"

    @property
    def broken_data_alarm(self) -> str:
        """Rings when records are not what the model was built for: somebody must repair their source."""
        return f"{self.churn_endpoint}-broken-data"

    def bandit_table(self, kind: Literal["experiments", "models", "joins", "workers"]) -> str:
        """A DynamoDB table of the experiment store; infrastructure/bandit.yaml creates it."""
        return f"{self.stem}-bandit-{kind}"

    def bandit_endpoint(self, experiment: str) -> str:
        """An experiment's endpoint; its streams, dashboard and log group are called after it."""
        return f"{self.stem}-bandit-{experiment}"

    def bandit_prefix(self, experiment: str) -> str:
        return f"bandits/{experiment}/"

    @property
    def raw_prefix(self) -> str:
        return "raw/churn/"

    @property
    def incoming_prefix(self) -> str:
        """A file that lands here starts a training on it; infrastructure/triggers.yaml has the rule."""
        return "incoming/churn/"

    @property
    def code_prefix(self) -> str:
        return f"code/{self.code_version}/"

    def run_prefix(self, run_key: str, dag_id: str = "churn_training") -> str:
        return f"runs/{dag_id}/{run_key}/"

    def capture_prefix(self, endpoint: str) -> str:
        return f"capture/{endpoint}/"

    def ground_truth_prefix(self, endpoint: str) -> str:
        """Labels, in folders yyyy/mm/dd/HH of the hour in which they were collected."""
        return f"ground-truth/{endpoint}/"

    def monitoring_prefix(self, endpoint: str) -> str:
        """What outlives a run of the DAG monitoring: a summary of each execution, and the endpoint's page."""
        return f"monitoring/{endpoint}/"

    def s3(self, key: str) -> str:
        """The S3 URI of a key in the environment's bucket."""
        return f"s3://{self.bucket}/{key}"

    def console_url(self, bucket: str, key: str) -> str:
        """Where a person who is logged in to AWS sees an object."""
        place = f"https://{self.region}.console.aws.amazon.com/s3/object/{bucket}"
        return f"{place}?region={self.region}&prefix={quote(key)}"

    @property
    def xgboost_image(self) -> str:
        return self._image("xgboost")

    @property
    def sklearn_image(self) -> str:
        return self._image("sklearn")

    @property
    def monitor_image(self) -> str:
        """Model Monitor's analyser, for managed schedules; accounts new to SageMaker may not run it."""
        return self._image("model-monitor")

    @property
    def clarify_image(self) -> str:
        return self._image("clarify")

    def _image(self, framework: str) -> str:
        """URI of SageMaker's image in this region; raises SettingsError where there is none."""
        table = json.loads((FOLDER / "image_uris.json").read_text())[framework]["uris"]
        try:
            return str(table[self.region])
        except KeyError:
            raise SettingsError(
                f"{FOLDER / (self.environment + '.toml')}: region: SageMaker has no {framework} image in "
                f"{self.region!r}; it has in {', '.join(table)}"
            ) from None


def environment_name() -> str:
    """The environment this process belongs to."""
    return os.environ.get("MLOPS_ENVIRONMENT") or os.environ.get("AIRFLOW__MLOPS__ENVIRONMENT") or "local"


def load(environment: str | None = None, folder: Path = FOLDER) -> Settings:
    """The settings of `environment`. The code version is MLOPS_CODE_VERSION, else what a release has put
    beside the settings (workbench/release.py), else "dev".

    Raises SettingsError: no such file, not TOML, an unknown key, a value that is missing or out of range.
    """
    version = os.environ.get("MLOPS_CODE_VERSION") or _released(folder) or "dev"
    return _load(environment or environment_name(), folder, version)


def _released(folder: Path) -> str | None:
    path = folder / CODE_VERSION_FILE
    return path.read_text().strip() if path.exists() else None


@lru_cache
def _load(environment: str, folder: Path, code_version: str) -> Settings:
    path = folder / f"{environment}.toml"
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml"))) or "none"
        raise SettingsError(
            f"{path}: no settings for environment {environment!r} (MLOPS_ENVIRONMENT); there are: {known}"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    try:
        return Settings(**{"environment": environment, "code_version": code_version, **values})
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {_problem(item)}" for item in error.errors())) from None


def _problem(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "file"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if item["type"] == "missing":
        return f"{key}: missing"
    if key == "code_version":
        key = "code_version (MLOPS_CODE_VERSION)"
    return f"{key}: {item['msg']}, got {item['input']!r}"
