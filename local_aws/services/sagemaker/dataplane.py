"""The control plane's side of the data plane: desired state goes out as a file, readiness comes back over HTTP."""

from __future__ import annotations

import http.client
import json
import logging
import threading
from typing import Any

from .backend import Service

log = logging.getLogger(__name__)

_publishing = threading.Lock()


def publish(service: Service) -> None:
    """Write endpoints.json and tell the data plane. Never call this with the service's lock held.

    The file is what counts: a data plane that is just starting reads it then.
    """
    path = service.context.data_dir / "serving" / "endpoints.json"
    with _publishing:
        with service.lock:
            text = json.dumps({"version": 1, "endpoints": desired(service)}, indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        work = path.with_suffix(".new")
        work.write_text(text)
        work.replace(path)
    try:
        _call(service, "POST", "/-/reload")
    except OSError as error:
        log.info("the data plane was not told of a change, it reads it when it starts: %s", error)


def desired(service: Service) -> dict[str, Any]:
    """What each endpoint should serve. An endpoint without fleets is not served at all."""
    return {
        name: {"fleets": record["_fleets"], "capture": record["_capture"]}
        for name, record in service.records("endpoint").items()
        if record["_fleets"] and record["EndpointStatus"] != "Deleting"
    }


def variant_states(service: Service, endpoint: str, fleet_id: str) -> dict[str, dict[str, str]]:
    """variant name -> {"state": "Loading|Ready|Failed", "reason": ...}; empty while the data plane does not answer."""
    try:
        status = json.loads(_call(service, "GET", "/-/status"))
    except (OSError, ValueError):
        return {}
    endpoints = status.get("endpoints", status)
    fleets = endpoints.get(endpoint, {})
    states: dict[str, dict[str, str]] = fleets.get("fleets", fleets).get(fleet_id, {})
    return states


def _call(service: Service, method: str, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", service.context.runtime_port, timeout=30)
    try:
        connection.request(method, path, headers={"Content-Length": "0"} if method == "POST" else {})
        response = connection.getresponse()
        body = response.read()
        if response.status >= 300:
            raise OSError(f"{method} {path} answered {response.status}: {body[:200]!r}")
        return body
    except http.client.HTTPException as error:
        raise OSError(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()
