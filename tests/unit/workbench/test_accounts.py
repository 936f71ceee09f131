"""Which account a command speaks to, and what is said when it is none or another one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from config import load
from workbench import accounts
from workbench.settings import WorkbenchError

EXPIRED = ClientError({"Error": {"Code": "ExpiredToken", "Message": "it has expired"}}, "GetCallerIdentity")


def answering(answer: Any) -> Any:
    """Clients whose STS answers so, or raises it."""

    def get_caller_identity() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return {"Account": answer}

    return lambda service: SimpleNamespace(get_caller_identity=get_caller_identity)


@pytest.mark.parametrize(
    ("environment", "answer", "words"),
    [
        (
            "dev",
            NoCredentialsError(),
            r"Unable to locate credentials\). Log in to account 111122223333, which ",
        ),
        ("prod", EXPIRED, r"it has expired\). Log in to account 444455556666, which config/prod.toml names"),
        ("dev", "9" * 12, "are of account 999999999999; config/dev.toml names 111122223333. Choose another"),
        (
            "local",
            EndpointConnectionError(endpoint_url="x"),
            "the stack is not running: start it with `make up`",
        ),
    ],
)
def test_who_is_not_logged_in_is_told_where_to(environment: str, answer: Any, words: str) -> None:
    with pytest.raises(WorkbenchError, match=words):
        accounts.require(load(environment), answering(answer))


def test_the_account_that_the_settings_name_passes() -> None:
    accounts.require(load("dev"), answering("111122223333"))


def test_local_is_the_stack_whatever_profile_the_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "company")
    monkeypatch.setenv("AWS_PORT", "35566")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert accounts.of_environment(load("local"))("sqs").meta.endpoint_url == "http://127.0.0.1:35566"


def test_other_environments_and_a_named_endpoint_are_the_terminals_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert accounts.of_environment(load("dev"))("sqs").meta.endpoint_url.endswith(".amazonaws.com")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert accounts.of_environment(load("local"))("sqs").meta.endpoint_url == "http://127.0.0.1:1"
