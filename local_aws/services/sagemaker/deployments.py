"""Deployments: a new fleet beside the old one, traffic moved in watched steps, rolled back when an alarm
fires.

Each endpoint that is being changed has one thread, and `_deployment` in its record says what the thread is
doing, so that a restarted server carries on: a step that was being watched is watched again from its
beginning. Until the new fleet is ready the old one has all the traffic, so no request ever meets a fleet that
cannot answer.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from typing import Any

from . import dataplane, endpoint_configs, errors, fleets, rollout
from .backend import Record, Service

log = logging.getLogger(__name__)

# AWS gives a container 4 minutes to answer its first ping.
READY_TIMEOUT_SECONDS = 240
POLL_SECONDS = 0.1
ALARM_POLL_SECONDS = 0.5


def begin_create(service: Service, record: Record) -> None:
    record["_deployment"] = {"kind": "create", "fleet": record["EndpointConfigName"]}
    _spawn(service, record)


def begin_update(service: Service, record: Record, config: Record, policy: dict[str, Any] | None) -> None:
    now = service.now()
    record.pop("FailureReason", None)
    record["EndpointStatus"] = "Updating"
    record["LastModifiedTime"] = now
    # A fleet is named for its configuration; an update to the one that already serves needs a second name.
    fleet = config["EndpointConfigName"]
    if any(each["id"] == fleet for each in record["_fleets"]):
        fleet += ".next"
    record["_deployment"] = {"kind": "update", "fleet": fleet, "config": config, "policy": policy, "step": 0}
    record["PendingDeploymentSummary"] = {
        "EndpointConfigName": config["EndpointConfigName"],
        "ProductionVariants": fleets.summaries(config["ProductionVariants"], {}, now, "Creating"),
        "StartTime": now,
    }
    if config.get("ShadowProductionVariants"):
        record["PendingDeploymentSummary"]["ShadowProductionVariants"] = fleets.summaries(
            config["ShadowProductionVariants"], {}, now, "Creating"
        )
    _spawn(service, record)


def begin_weights(service: Service, record: Record) -> None:
    record["EndpointStatus"] = "Updating"
    record["_deployment"] = {"kind": "weights"}
    _spawn(service, record)


def begin_delete(service: Service, record: Record) -> None:
    record["EndpointStatus"] = "Deleting"
    record["_deployment"] = {"kind": "delete"}
    _spawn(service, record)


def check_alarms(service: Service, plan: rollout.Rollout) -> None:
    """An alarm that does not exist would never roll anything back: refuse it."""
    missing = [name for name in plan.alarms if name not in _alarms(service)]
    if missing:
        raise errors.validation(
            f"AutoRollbackConfiguration names alarms that do not exist: {', '.join(missing)}."
        )


def resume(service: Service) -> None:
    """After a start of the server: serve what was served, carry on with what was being changed."""
    dataplane.publish(service)
    for record in service.records("endpoint").values():
        if record.get("_deployment"):
            _spawn(service, record)


def _spawn(service: Service, record: Record) -> None:
    name, kind = record["EndpointName"], record["_deployment"]["kind"]
    work = {"create": _create, "update": _update, "weights": _weights, "delete": _delete}[kind]
    threading.Thread(
        target=_guarded, args=(work, service, name), name=f"endpoint/{name}", daemon=True
    ).start()


def _guarded(work: Any, service: Service, name: str) -> None:
    """A fault of ours must not leave an endpoint in progress for ever."""
    try:
        work(service, name)
    except Exception as error:
        log.exception("the deployment of endpoint %s failed", name)
        if work is _update:
            _roll_back(service, name)
        _settle(service, name, "Failed" if work is _create else "InService", f"InternalServerError: {error}")


def _create(service: Service, name: str) -> None:
    config = service.snapshot("endpoint", name)["_config"]
    try:
        fleet = fleets.add(service, name, config, weight=1.0)
        _wait_ready(service, name, fleet, ())
    except fleets.RolledBack as failure:
        service.update("endpoint", name, _fleets=[])
        dataplane.publish(service)
        _settle(service, name, "Failed", str(failure))
        return
    _serve(service, name, config, fleet)
    _settle(service, name, "InService")


def _update(service: Service, name: str) -> None:
    record = service.snapshot("endpoint", name)
    deployment = record["_deployment"]
    config, policy = deployment["config"], deployment["policy"]
    plan = rollout.plan(policy, min(v.get("InitialInstanceCount", 1) for v in config["ProductionVariants"]))
    deadline = time.monotonic() + plan.timeout_seconds
    try:
        fleet = fleets.add(service, name, config, weight=0.0)
        _wait_ready(service, name, fleet, plan.alarms)
        for number, step in enumerate(plan.steps):
            if number < deployment["step"]:
                continue  # done before the server was restarted
            _shift(service, name, fleet, number, step.share)
            _bake(service, plan.alarms, step.bake_seconds, deadline)
    except fleets.RolledBack as failure:
        _roll_back(service, name)
        _settle(service, name, "InService", str(failure), LastDeploymentConfig=policy)
        return
    threading.Event().wait(plan.termination_seconds)
    _serve(service, name, config, fleet)
    _settle(service, name, "InService", LastDeploymentConfig=policy)


def _weights(service: Service, name: str) -> None:
    with service.lock:
        record = service.records("endpoint")[name]
        variants = endpoint_configs.all_variants(record)
        wanted = {v["VariantName"]: v for v in variants}
        for fleet in record["_fleets"]:
            for variant in fleet["variants"]:
                variant["weight"] = wanted[variant["name"]]["DesiredWeight"]
            for shadow in fleet["shadows"]:
                production = wanted[fleet["variants"][0]["name"]]["DesiredWeight"]
                share = fleets.shadow_share(wanted[shadow["name"]]["DesiredWeight"], production)
                shadow["weight"] = share
        for variant in variants:
            variant["CurrentWeight"] = variant["DesiredWeight"]
            if "DesiredInstanceCount" in variant:
                variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"]
        service.commit()
    dataplane.publish(service)
    _settle(service, name, "InService")


def _delete(service: Service, name: str) -> None:
    dataplane.publish(service)
    with service.lock:
        service.records("endpoint").pop(name, None)
        service.commit()


def _wait_ready(service: Service, name: str, fleet: str, alarms: tuple[str, ...]) -> None:
    """Until every variant of the fleet answers. A variant that fails to load ends the deployment."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    with service.lock:
        wanted = {
            variant["name"]
            for each in service.records("endpoint")[name]["_fleets"]
            if each["id"] == fleet
            for variant in (*each["variants"], *each["shadows"])
        }
    while True:
        states = dataplane.variant_states(service, name, fleet)
        for variant, state in states.items():
            if state["state"] == "Failed":
                raise fleets.RolledBack(
                    f"The container of variant {variant} did not load its model: "
                    f"{state.get('reason') or 'no reason given'}"
                )
        if wanted <= {variant for variant, state in states.items() if state["state"] == "Ready"}:
            return
        _check_alarms(service, alarms)
        if time.monotonic() > deadline:
            waiting = ", ".join(sorted(wanted - states.keys())) or ", ".join(sorted(wanted))
            raise fleets.RolledBack(
                f"The container of variant {waiting} did not pass the ping health check within "
                f"{READY_TIMEOUT_SECONDS} s. Please check CloudWatch logs for this endpoint."
            )
        threading.Event().wait(POLL_SECONDS)


def _shift(service: Service, name: str, fleet: str, step: int, share: float) -> None:
    """Give the new fleet its share of the traffic, durably."""
    with service.lock:
        record = service.records("endpoint")[name]
        for each in record["_fleets"]:
            each["weight"] = share if each["id"] == fleet else 1.0 - share
        record["_deployment"]["step"] = step
        for variant in record["PendingDeploymentSummary"]["ProductionVariants"]:
            variant["CurrentWeight"] = share
            variant["VariantStatus"] = [{"Status": "Baking", "StartTime": service.now()}]
        service.commit()
    dataplane.publish(service)


def _bake(service: Service, alarms: tuple[str, ...], seconds: float, deadline: float) -> None:
    """Watch the alarms while the new fleet has its share."""
    until = time.monotonic() + seconds
    while True:
        _check_alarms(service, alarms)
        now = time.monotonic()
        if now >= until:
            return
        if now > deadline:
            raise fleets.RolledBack(
                "The deployment took longer than MaximumExecutionTimeoutInSeconds and was rolled back."
            )
        threading.Event().wait(min(ALARM_POLL_SECONDS, until - now))


def _check_alarms(service: Service, names: tuple[str, ...]) -> None:
    with service.lock:
        known = _alarms(service)
        firing = [name for name in names if name in known and known[name].state_value == "ALARM"]
    if firing:
        raise fleets.RolledBack(
            f"One or more configured alarms are in the ALARM state: {', '.join(firing)}. "
            "The deployment was rolled back."
        )


def _alarms(service: Service) -> dict[str, Any]:
    from moto.cloudwatch.models import cloudwatch_backends

    backend = cloudwatch_backends[service.backend.account_id][service.backend.region_name]
    alarms: dict[str, Any] = backend.alarms
    return alarms


def _roll_back(service: Service, name: str) -> None:
    """All traffic to the old fleet, the new one away. The endpoint keeps its old configuration's name."""
    with service.lock:
        record = service.records("endpoint")[name]
        fleet = record["_deployment"]["fleet"]
        record["_fleets"] = [{**each, "weight": 1.0} for each in record["_fleets"] if each["id"] != fleet]
        service.commit()
    dataplane.publish(service)


def _serve(service: Service, name: str, config: Record, fleet: str) -> None:
    """The new fleet is the endpoint: only it remains, and Describe shows its configuration."""
    with service.lock:
        record = service.records("endpoint")[name]
        [kept] = [each for each in record["_fleets"] if each["id"] == fleet]
        record["_fleets"] = [{**kept, "weight": 1.0}]
        record["_capture"] = endpoint_configs.capture(config)
        record["_config"] = copy.deepcopy(config)
        record["EndpointConfigName"] = config["EndpointConfigName"]
        images = {v["name"]: v["image_uri"] for v in (*kept["variants"], *kept["shadows"])}
        for member in ("ProductionVariants", "ShadowProductionVariants"):
            if config.get(member):
                record[member] = fleets.summaries(config[member], images, service.now())
            else:
                record.pop(member, None)
        if config.get("AsyncInferenceConfig"):
            record["AsyncInferenceConfig"] = config["AsyncInferenceConfig"]
        else:
            record.pop("AsyncInferenceConfig", None)
        summary = endpoint_configs.capture_summary(config)
        if summary:
            record["DataCaptureConfig"] = summary
        else:
            record.pop("DataCaptureConfig", None)
        service.commit()
    dataplane.publish(service)


def _settle(service: Service, name: str, status: str, reason: str | None = None, **members: Any) -> None:
    """End a deployment: final status, its reason when it failed, nothing pending."""
    with service.lock:
        record = service.records("endpoint").get(name)
        if record is None:
            return
        record.update({key: value for key, value in members.items() if value is not None})
        record.pop("PendingDeploymentSummary", None)
        record["_deployment"] = None
        if reason:
            record["FailureReason"] = reason[:1024]
        else:
            record.pop("FailureReason", None)
        record["EndpointStatus"] = status
        record["LastModifiedTime"] = service.now()
        service.commit()
