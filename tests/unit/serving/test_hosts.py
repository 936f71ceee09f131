"""Which worker is asked, what a stopped model leaves behind, and what its processes printed."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from local_aws.serving import desired
from local_aws.serving.__main__ import remove_leftovers
from local_aws.serving.hosts import OwnProcesses, Request
from local_aws.serving.logs import EndpointLogs

REQUEST = Request(b"1", "text/csv", "")


class Worker:
    """Answers with its name when it is let."""

    def __init__(self, name):
        self.name, self.ready, self.asked = name, True, 0
        self.may_answer = asyncio.Event()

    async def post(self, path, body, headers, seconds):
        self.asked += 1
        await self.may_answer.wait()
        return 200, {"content-type": "text/plain"}, self.name.encode()


def test_equal_workers_take_turns_and_a_busy_or_dead_one_is_left_out(tmp_path):
    async def scenario():
        workers: list[Any] = [Worker(name) for name in "abc"]
        host = OwnProcesses(workers, tmp_path, lambda: None)
        waiting = [asyncio.create_task(host.invoke(REQUEST)) for _ in range(3)]
        await asyncio.sleep(0)
        assert [worker.asked for worker in workers] == [1, 1, 1]
        workers[1].may_answer.set()
        assert (await waiting[1]).body == b"b"
        assert (await host.invoke(REQUEST)).body == b"b"  # the others are busy still
        for worker in workers:
            worker.may_answer.set()
        await asyncio.gather(*waiting)
        workers[0].ready = False
        asked = [(await host.invoke(REQUEST)).body for _ in range(4)]
        assert sorted(asked) == [b"b", b"b", b"c", b"c"]

    asyncio.run(scenario())


def test_a_model_that_is_stopped_for_good_sends_its_log_and_leaves_nothing(tmp_path):
    said = []
    folder = tmp_path / "variant"
    folder.mkdir()
    host = OwnProcesses([], folder, lambda: said.append(folder.exists()))
    host.forget()
    assert said == [True]
    assert not folder.exists()


def test_leftovers_of_models_that_are_not_wanted_are_removed(tmp_path):
    variant = {"name": "v", "weight": 1.0, "model_dir": "/m", "image": "i:1"}
    fleets = [{"id": "c", "weight": 1.0, "variants": [variant]}]
    state = tmp_path / "endpoints.json"
    state.write_text(json.dumps({"version": 1, "endpoints": {"e": {"fleets": fleets}}}))
    kept = tmp_path / "containers" / "e" / "c" / desired.read(state)["e"].fleets[0].variants[0].folder_name
    gone = tmp_path / "containers" / "e" / "old" / "v-0"
    for folder in (kept, gone):
        folder.mkdir(parents=True)
    remove_leftovers(tmp_path / "containers", state)
    assert kept.exists()
    assert not gone.exists()


class LogStore:
    """CloudWatch Logs of one group; away until `here`."""

    def __init__(self):
        self.here, self.sent = False, []
        missing = type("ResourceNotFoundException", (Exception,), {})
        there = type("ResourceAlreadyExistsException", (Exception,), {})
        self.exceptions = SimpleNamespace(
            ResourceNotFoundException=missing, ResourceAlreadyExistsException=there
        )
        self.made = []

    def create_log_group(self, logGroupName):
        self.made.append(logGroupName)

    def create_log_stream(self, logGroupName, logStreamName):
        self.made.append(logStreamName)

    def put_log_events(self, logGroupName, logStreamName, logEvents):
        if not self.here:
            raise ConnectionError("away")
        if not self.made:
            raise self.exceptions.ResourceNotFoundException
        self.sent += [(event["timestamp"], event["message"]) for event in logEvents]


def test_printed_lines_arrive_once_whole_and_in_order(tmp_path):
    store = LogStore()
    file = tmp_path / "churn" / "config-1" / "AllTraffic-0abc" / "server.log"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one\n\ntwo\nhal")

    def logs():
        return EndpointLogs(tmp_path, store, clock=lambda: 7.0)

    assert logs().flush() == 0
    store.here = True
    assert logs().flush() == 2
    assert store.made == ["/aws/sagemaker/Endpoints/churn", "AllTraffic/i-0abc"]
    with file.open("ab") as output:
        output.write(b"f\n")
    assert logs().flush() == 1
    assert logs().flush() == 0
    assert store.sent == [(7000, "one"), (7000, "two"), (7000, "half")]
