"""The running Airflow that stands for every MWAA environment: its REST API and its DAG folder."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 10  # MWAA's own, as published


class Unreachable(RuntimeError):
    """Airflow does not answer. The message names its address and the reason."""


@dataclass
class Airflow:
    """url: of the web server. password_file: {user: password} in JSON, as Airflow's simple auth manager keeps
    it, read when it is needed. dags: the folder that Airflow reads, where uploaded DAGs are published."""

    url: str
    user: str = "admin"
    password_file: Path | None = None
    dags: Path | None = None
    _token: str = ""
    _login: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).netloc

    def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """One call below /api/v2: (status, answer). Raises Unreachable."""
        target = "/api/v2" + urllib.parse.quote(path, safe="/%:+~@!$&'()*,;=")
        if query:
            target += "?" + urllib.parse.urlencode(
                {name: _query_value(value) for name, value in query.items()}, doseq=True
            )
        status, answer = self._send(method, target, body, self._token or self.token())
        if status == 401:  # the token's day is over, or Airflow was set up anew
            status, answer = self._send(method, target, body, self.token())
        return status, answer

    def token(self) -> str:
        """Log in: Airflow's own JWT. Raises Unreachable."""
        with self._login:
            login = {"username": self.user, "password": self._password()}
            status, answer = self._send("POST", "/auth/token", login, "")
            if status != 201:
                raise Unreachable(
                    f"Airflow at {self.url} refused the login of {self.user}: {status} {answer}"
                )
            self._token = str(answer["access_token"])
            return self._token

    def _password(self) -> str:
        if self.password_file is None:
            return ""
        try:
            return str(json.loads(self.password_file.read_text())[self.user])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unreachable(
                f"{self.password_file} does not name a password of {self.user}: {error}"
            ) from None

    def _send(self, method: str, target: str, body: Any, token: str) -> tuple[int, Any]:
        parts = urllib.parse.urlsplit(self.url)
        connection_type = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = connection_type(parts.netloc, timeout=TIMEOUT_SECONDS)
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, parts.path.rstrip("/") + target, content, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise Unreachable(f"Airflow at {self.url} does not answer: {reason}") from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text) if text else {}
        except ValueError:
            return answer.status, {"detail": text}


def _query_value(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
