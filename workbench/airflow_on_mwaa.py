"""The Airflow of an MWAA environment, asked through InvokeRestApi: no token, no web server address."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from workbench.release import Release
from workbench.settings import WorkbenchError

OLD_ERROR_SECONDS = 180.0  # MWAA copies every half minute and parses every half minute
TEMPORARY = ("RestApiServerException", "InternalServerException", "ThrottlingException")


class AirflowOnMwaa:
    """name: the environment's. mwaa: a boto3 client."""

    def __init__(self, mwaa: Any, name: str) -> None:
        self._mwaa = mwaa
        self._name = name

    def get(self, path: str, **query: Any) -> Any:
        """Airflow's answer; None for 404. Raises ClientError otherwise."""
        arguments: dict[str, Any] = {"QueryParameters": query} if query else {}
        try:
            answer = self._mwaa.invoke_rest_api(Name=self._name, Path=path, Method="GET", **arguments)
        except ClientError as error:
            if error.response.get("RestApiStatusCode") == 404:
                return None
            raise
        return answer["RestApiResponse"]

    def import_errors(self) -> dict[str, str]:
        """Stack trace by file name, without its folders."""
        found = self.get("/importErrors", limit=100) or {}
        return {Path(one["filename"]).name: one["stack_trace"] for one in found.get("import_errors", [])}

    def source(self, dag_id: str) -> str | None:
        """The text of the file that Airflow has read for a DAG; None before it has."""
        found = self.get(f"/dagSources/{dag_id}")
        return None if found is None else str(found["content"])

    def wait_for_dags(self, release: Release, earlier: Mapping[str, str], seconds: float) -> None:
        """Until every DAG is read as it is in the release.

        earlier: the import errors of before the upload. One that is still the same may be of the file before,
        so Airflow is given a while to read the new one; any other counts at once.
        Raises WorkbenchError naming each file with its error, or those that were never read.
        """
        started, pause = time.monotonic(), 0.5
        while True:
            errors, waiting = self._look(release)
            patient = time.monotonic() < started + min(seconds / 3, OLD_ERROR_SECONDS)
            final = {n: trace for n, trace in errors.items() if not (patient and earlier.get(n) == trace)}
            if final:
                shown = "\n".join(f"dags/{name}:\n{trace}" for name, trace in sorted(final.items()))
                raise WorkbenchError(f"Airflow cannot import what was uploaded:\n{shown}")
            if not waiting and not errors:
                return
            if time.monotonic() > started + seconds:
                raise WorkbenchError(
                    f"after {seconds:.0f} s Airflow has not read as uploaded: {', '.join(sorted(waiting))}"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 10.0)

    def _look(self, release: Release) -> tuple[dict[str, str], set[str]]:
        """Import errors of our files, and the files that Airflow has not read as they are."""
        try:
            errors = self.import_errors()
            waiting = {
                name
                for dag_id, name in release.dag_ids.items()
                if self.source(dag_id) != release.dags[name].decode()
            }
        except ClientError as error:
            if error.response["Error"]["Code"] not in TEMPORARY:
                raise
            return {}, set(release.dag_ids.values())  # the web server restarts after an update
        ours = set(release.dag_ids.values())
        return {name: trace for name, trace in errors.items() if name in ours}, waiting
