"""`python -m local_aws.services.athena.engine.worker`: answers queries on its standard streams.

One JSON object a line. In: `{"query": {...}}`; to a call `{"answer": ...}` or `{"error": [name, message]}`.
Out: `{"call": [operation, arguments]}` to the catalog, and at the end of a query `{"done": {...}}` or
`{"failed": {...}}`. The process ends with its input, even in the middle of a query.
"""

import json
import os
import queue
import sys
import threading
from typing import Any

import duckdb

from local_aws.services.athena.engine import execute
from local_aws.services.athena.engine.errors import QueryError, from_duckdb


class _Pipe:
    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # whatever a library prints must not mix with the answers
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(json.loads(line))
        os._exit(0)  # the server is gone, and with it whoever wants the answer

    def receive(self) -> dict[str, Any]:
        return self._lines.get()

    def send(self, message: dict[str, Any]) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def call(self, operation: str, /, **arguments: Any) -> Any:
        self.send({"call": [operation, arguments]})
        message = self.receive()
        if "error" in message:
            raise QueryError(*message["error"])
        return message["answer"]


def main() -> None:
    """Answer until the input ends."""
    pipe = _Pipe()
    while True:
        request = pipe.receive()["query"]
        try:
            pipe.send({"done": execute.run(request, pipe.call)})
        except QueryError as error:
            pipe.send({"failed": error.as_dict()})
        except duckdb.Error as error:
            pipe.send({"failed": from_duckdb(error).as_dict()})
        except Exception as error:  # noqa: BLE001 - a fault of ours fails this query and not the worker
            reason = f"GENERIC_INTERNAL_ERROR: {type(error).__name__}: {error}"
            pipe.send({"failed": {"reason": reason, "error_type": 1, "category": 1}})


if __name__ == "__main__":
    main()
