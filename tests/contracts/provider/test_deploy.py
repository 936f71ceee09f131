"""`make deploy ENV=dev` against local AWS and its MWAA, with a small server in the place of Airflow."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from functools import cache
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import boto3
import pytest

from config import Settings, load
from local_aws.pytest_plugin import LocalAws
from tests.contracts.json_handler import JsonHandler
from workbench import accounts, deploy, release, stacks
from workbench.calls import Calls
from workbench.permissions import compare, read_statements, read_uses
from workbench.settings import ROOT, WorkbenchError

PARTS = (
    "dags", "plugins", "config", "glue_scripts", "sagemaker_scripts", "lambda_functions", "infrastructure",
)  # fmt: skip
ACCOUNT = "111122223333"
PIPELINE = "mlops-deploy-dev"  # the role of infrastructure/once/github.yaml


class FakeAirflow(JsonHandler):
    """Reads its DAG folder at each question: a file that does not compile is an import error."""

    folder: ClassVar[Path]

    def do_POST(self) -> None:
        self.answer(201, {"access_token": "token"})

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/api/v2")
        if path == "/importErrors":
            return self.answer(200, {"import_errors": list(self._errors())})
        file = self.folder / f"{path.removeprefix('/dagSources/')}.py"
        if not file.exists() or file.name in {Path(error["filename"]).name for error in self._errors()}:
            return self.answer(404, {"detail": "no such DAG"})
        return self.answer(200, {"content": file.read_text()})

    def _errors(self) -> Iterator[dict[str, str]]:
        for file in sorted(self.folder.glob("*.py")):
            try:
                compile(file.read_text(), file.name, "exec")
            except SyntaxError as error:
                yield {"filename": str(file), "stack_trace": f"SyntaxError: {error}"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A local AWS of config/dev.toml's account, with that Airflow behind MWAA."""
    folder = tmp_path_factory.mktemp("deploy")
    FakeAirflow.folder = folder / "dags"
    FakeAirflow.folder.mkdir()
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({"admin": "x"}))
    airflow = ThreadingHTTPServer(("127.0.0.1", 0), FakeAirflow)
    threading.Thread(target=airflow.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_AWS_AIRFLOW_URL", f"http://127.0.0.1:{airflow.server_address[1]}")
        patch.setenv("LOCAL_AWS_AIRFLOW_PASSWORD_FILE", str(passwords))
        patch.setenv("LOCAL_AWS_AIRFLOW_DAGS", str(FakeAirflow.folder))
        patch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
        patch.setenv("LOCAL_AWS_RECORD_CALLS", str(folder / "calls.jsonl"))
        server = LocalAws(folder / "data")
        yield server
        server.stop()
    airflow.shutdown()
    airflow.server_close()


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load("dev").model_copy(update={"account": ACCOUNT})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.txt", root)
    for folder in ("churn", "monitoring"):  # fewer files, the same ways
        shutil.rmtree(root / "sagemaker_scripts" / folder)
    return root


@pytest.fixture
def target(aws: LocalAws, settings: Settings, checkout: Path) -> deploy.Target:
    """As a pipeline deploys, by its role."""
    session = boto3.Session(PIPELINE, "secret", region_name=aws.region)

    def client(service: str) -> Any:
        return session.client(
            service, endpoint_url=aws.env.get(f"AWS_ENDPOINT_URL_{service.upper()}", aws.endpoint_url)
        )

    return deploy.Target(Calls(cache(client)), settings, checkout)


@pytest.fixture
def administrator(aws: LocalAws, settings: Settings, checkout: Path) -> deploy.Target:
    return deploy.Target(Calls(cache(aws.client)), settings, checkout)


def test_a_dry_run_says_everything_and_makes_nothing(
    aws: LocalAws, settings: Settings, checkout: Path
) -> None:
    said: list[str] = []
    deploy.deploy(deploy.Target(Calls(cache(aws.client), said.append, dry_run=True), settings, checkout))
    assert aws.client("s3").list_buckets()["Buckets"] == []
    assert aws.client("cloudformation").list_stacks()["StackSummaries"] == []
    made = [line.split()[0] for line in said if line.startswith("cloudformation.execute_change_set")]
    assert len(made) == len(stacks.ORDER)
    text = "\n".join(said)
    assert f"s3.put_object Bucket=mlops-dev-us-east-1-{ACCOUNT} Key=airflow/plugins.zip Body=<" in text
    assert "PluginsVersion=<version of airflow/plugins.zip>" in text
    assert "AirflowRoleArn=<roles.AirflowRoleArn>" in text
    dags = len(release.build(checkout).dags)
    assert "waits until MWAA's environment mlops-dev is AVAILABLE" in said[-3 - dags]
    assert said[-2].startswith("then asks Airflow (mwaa.invoke_rest_api Name=mlops-dev) for import errors")
    puts = sum(line.startswith("s3.put_object") for line in said)
    assert said[-1] == (
        "calls that would change something: cloudformation.create_change_set 8, "
        f"cloudformation.execute_change_set 8, s3.put_object {puts}; this was a dry run"
    )


def test_a_deployment_uploads_updates_and_verifies(aws: LocalAws, target: deploy.Target) -> None:
    deploy.deploy(target)
    built = release.build(target.root)
    environment = aws.client("mwaa").get_environment(Name="mlops-dev")["Environment"]
    plugins = aws.client("s3").head_object(Bucket=target.settings.bucket, Key="airflow/plugins.zip")
    assert environment["PluginsS3ObjectVersion"] == plugins["VersionId"]
    assert plugins["ServerSideEncryption"] == "aws:kms"
    assert environment["AirflowConfigurationOptions"]["mlops.environment"] == "dev"
    assert json.loads(environment["AirflowConfigurationOptions"]["secrets.backend_kwargs"]) == {
        "connections_prefix": "mlops-dev/airflow/connections",
        "connections_lookup_pattern": "^(?!aws_default$).*",
        "variables_prefix": "mlops-dev/airflow/variables",
        "config_prefix": None,
    }
    published = {path.name for path in FakeAirflow.folder.glob("*.py")}
    assert published == set(built.dag_ids.values())
    code = aws.client("s3").list_objects_v2(
        Bucket=target.settings.bucket, Prefix=f"code/{built.code_version}/glue_scripts/"
    )
    assert code["KeyCount"] >= 1


def test_a_second_deployment_changes_nothing(target: deploy.Target) -> None:
    deploy.deploy(target)
    assert target.calls.made == []
    assert deploy.diff(target) == []


def test_a_changed_dag_is_uploaded_alone_and_its_error_is_shown(
    target: deploy.Target,
) -> None:
    broken = target.root / "dags" / "broken.py"
    broken.write_text("from airflow.sdk import (\n")
    changes = [line for line in deploy.diff(target) if line.startswith("~")]
    assert len(changes) == 1
    assert "Key=airflow/dags/broken.py" in changes[0]
    with pytest.raises(WorkbenchError, match=r"dags/broken\.py:\nSyntaxError: '\(' was never closed"):
        deploy.deploy(target)
    assert len(target.calls.made) == 1
    broken.unlink()
    deploy.deploy(target)
    assert target.calls.made[1:] == [
        f"s3.delete_object Bucket={target.settings.bucket} Key=airflow/dags/broken.py"
    ]
    deadline = time.monotonic() + 60
    while (FakeAirflow.folder / "broken.py").exists():  # MWAA copies at its own pace
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_changed_plugins_update_the_environment(aws: LocalAws, target: deploy.Target) -> None:
    (target.root / "plugins" / "mlops" / "new.py").write_text("x = 1\n")
    deploy.deploy(target)
    assert [call.split(" ")[0] for call in target.calls.made] == [
        "s3.put_object",
        "cloudformation.update_stack",
    ]
    environment = aws.client("mwaa").get_environment(Name="mlops-dev")["Environment"]
    assert environment["LastUpdate"]["Status"] == "SUCCESS"
    plugins = aws.client("s3").head_object(Bucket=target.settings.bucket, Key="airflow/plugins.zip")
    assert environment["PluginsS3ObjectVersion"] == plugins["VersionId"]


def test_changed_settings_update_their_stacks(aws: LocalAws, target: deploy.Target) -> None:
    """Also those that make and remove resources: a NAT in place of the interface endpoints, and back."""
    changed = {
        "use_nat": True,
        "airflow_workers": 2,
        "run_retention_days": 30,
        "log_retention_days": 7,
        "function_timeout": 90,
    }
    infrastructure = target.settings.infrastructure.model_copy(update=changed)
    settings = target.settings.model_copy(update={"infrastructure": infrastructure})
    ec2, s3 = aws.client("ec2"), aws.client("s3")

    def endpoints() -> int:
        return len(ec2.describe_vpc_endpoints()["VpcEndpoints"])

    assert endpoints() == 15
    other = deploy.Target(target.calls, settings, target.root)
    deploy.deploy(other)
    updated = {call.split()[1] for call in target.calls.made if call.startswith("cloudformation.update")}
    names = ("storage", "network", "airflow", "monitoring", "triggers")
    assert updated == {f"StackName=mlops-dev-{name}" for name in names}
    assert endpoints() == 2  # the gateways to S3 and DynamoDB cost nothing
    assert len(ec2.describe_nat_gateways()["NatGateways"]) == 1
    rules = s3.get_bucket_lifecycle_configuration(Bucket=settings.bucket)["Rules"]
    assert {rule["ID"]: rule.get("Expiration") for rule in rules}["runs"] == {"Days": 30}
    assert aws.client("mwaa").get_environment(Name="mlops-dev")["Environment"]["MaxWorkers"] == 2
    function = aws.client("lambda").get_function_configuration(FunctionName="mlops-dev-trigger-dag")
    assert function["Timeout"] == 90
    logs = aws.client("logs").describe_log_groups(logGroupNamePrefix="/aws/sagemaker/Endpoints/churn-dev")
    assert [group["retentionInDays"] for group in logs["logGroups"]] == [7]
    deploy.deploy(target)
    assert endpoints() == 15
    assert ec2.describe_nat_gateways()["NatGateways"] == []


def test_the_pipelines_role_allows_what_it_has_called_and_no_more(
    aws: LocalAws, target: deploy.Target
) -> None:
    """After the deployments above: first, unchanged, changed, with what was withdrawn."""
    statements = list(read_statements(target.settings, ROOT / "infrastructure" / "once"))
    uses = [use for use in read_uses(aws.data_dir.parent / "calls.jsonl") if use.role == PIPELINE]
    missing, unused = compare(statements, uses)
    # Recorded by its first folder: the role may delete below airflow/dags/ alone.
    assert missing == [f"{PIPELINE}: s3:DeleteObject on arn:aws:s3:::{target.settings.bucket}/airflow/x"]
    own = {"Stacks", "FindUploads", "Upload", "WithdrawDags", "WaitForAirflow", "AskAirflow"}
    assert {statement.sid for statement in statements} > own  # the others are for CloudFormation
    assert [line for line in unused if line.partition("(")[2].rstrip(")") in own] == [
        f"{PIPELINE}: cloudformation:DescribeStackEvents (Stacks)"  # when a stack fails
    ]


def test_another_account_is_refused(target: deploy.Target) -> None:
    accounts.require(target.settings, target.calls.client)
    prod = load("prod")
    with pytest.raises(WorkbenchError, match=f"of account {ACCOUNT}; config/prod.toml names {prod.account}"):
        accounts.require(prod, target.calls.client)


def test_connections_are_secrets_by_reference(aws: LocalAws, target: deploy.Target) -> None:
    """Airflow's own backend, with the options that the environment has."""
    from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend

    options = aws.client("mwaa").get_environment(Name="mlops-dev")["Environment"][
        "AirflowConfigurationOptions"
    ]
    aws.client("secretsmanager").create_secret(
        Name="mlops-dev/airflow/connections/warehouse", SecretString="postgres://u:p@host/db"
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.env.items():
            patch.setenv(name, value)
        backend = SecretsManagerBackend(**json.loads(options["secrets.backend_kwargs"]))
        assert backend.get_conn_value("warehouse") == "postgres://u:p@host/db"
        assert backend.get_conn_value("aws_default") is None


def test_destroy_keeps_the_data(aws: LocalAws, administrator: deploy.Target) -> None:
    target = administrator
    aws.restart()  # what stacks hold is read from the disk, then
    kept = deploy.stays(target)
    assert kept[0] == "stack mlops-dev-storage: bucket, key and all data"
    assert "AWS::DynamoDB::Table mlops-dev-bandit-experiments" in kept
    deploy.destroy(target)
    cloudformation = aws.client("cloudformation")
    left = cloudformation.describe_stacks()["Stacks"]
    assert [stack["StackName"] for stack in left] == ["mlops-dev-storage"]
    assert aws.client("mwaa").list_environments()["Environments"] == []
    assert aws.client("s3").head_object(Bucket=target.settings.bucket, Key="airflow/plugins.zip")
    deploy.put_everything(target, release.build(target.root))  # and takes over what was kept
    assert aws.client("mwaa").list_environments()["Environments"] == ["mlops-dev"]


def test_the_command_line(
    aws: LocalAws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)
    assert deploy.main(["destroy", "--environment", "dev", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "stays: stack mlops-dev-storage" in said
    assert "cloudformation.delete_stack StackName=mlops-dev-airflow" in said
    assert "StackName=mlops-dev-storage" not in said
    for answer, words in (("yes", "nothing was deleted"), (EOFError(), "nobody can be asked")):
        monkeypatch.setattr("builtins.input", Mock(side_effect=[answer]))
        assert deploy.main(["destroy", "--environment", "dev"]) == 1
        assert words in capsys.readouterr().out
    assert aws.client("mwaa").list_environments()["Environments"] == ["mlops-dev"]
    assert deploy.main(["diff", "--environment", "prod"]) == 1
    assert "the credentials are of account 111122223333" in capsys.readouterr().out
