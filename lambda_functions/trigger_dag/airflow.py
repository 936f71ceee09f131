"""One call of Airflow through MWAA: start a run that may be there already."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from trigger_dag.routes import Start

PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds between attempts, each up to half as long again
REFUSALS = frozenset((400, 405, 422))  # Airflow's answers that another attempt would not change


class Refused(ValueError):
    """Airflow will not start this run, however often it is asked. The message has its reason."""


class Unavailable(RuntimeError):
    """Airflow did not take the run now; it may later. The message has the last reason."""


def start(
    mwaa: Any,
    environment: str,
    run: Start,
    *,
    has_time: Callable[[float], bool] = lambda _: True,
    sleep: Callable[[float], None] = time.sleep,
) -> Literal["started", "duplicate"]:
    """Start the run; "duplicate" when a run of this id exists.

    has_time: whether so many seconds are left for another pause. Raises Refused, Unavailable.
    """
    body = {"dag_run_id": run.run_id, "logical_date": None, "conf": run.conf, "note": run.note}
    for pause in (*PAUSES, None):
        try:
            mwaa.invoke_rest_api(Name=environment, Path=f"/dags/{run.dag}/dagRuns", Method="POST", Body=body)
        except ClientError as error:
            status, reason = _answer(error)
            if status == 409:
                return "duplicate"
            if status in REFUSALS:
                raise Refused(f"Airflow refused {run.dag} {run.run_id}: {status} {reason}") from error
            problem = f"{status or error.response['Error']['Code']} {reason}"
        except BotoCoreError as error:
            problem = str(error)
        else:
            return "started"
        if pause is None or not has_time(pause):
            break
        sleep(pause * random.uniform(1, 1.5))  # noqa: S311  # so that many do not come back at once
    raise Unavailable(f"Airflow did not take {run.dag} {run.run_id}: {problem}")


def _answer(error: ClientError) -> tuple[int | None, str]:
    """(Airflow's status, its reason); no status when the answer was not Airflow's but MWAA's."""
    response = error.response
    detail = response.get("RestApiResponse")
    if isinstance(detail, dict):
        detail = detail.get("detail", detail)
    status = response.get("RestApiStatusCode")
    return (int(status) if status else None), str(detail or response["Error"].get("Message", ""))
