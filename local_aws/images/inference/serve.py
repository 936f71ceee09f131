"""`python -m local_aws.images.inference.serve REPOSITORY`: one worker of a framework image that serves.

The script's model_fn runs before the port is opened, so /ping is answered by workers that can answer all
else. Several workers are several of these processes; who starts them spreads the requests.
"""

from __future__ import annotations

import logging
import sys

from local_aws.images import container_server
from local_aws.images.inference import source
from local_aws.images.inference.defaults import BY_REPOSITORY, Defaults
from local_aws.images.inference.script import Script, reason


def main(repository: str) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    base = container_server.base_folder()
    try:
        source.prepare(base)
        script = Script(base / "model", BY_REPOSITORY.get(repository, Defaults)())
        parameters = script.execution_parameters()
    except source.BadSource as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    except Exception as error:  # noqa: BLE001 - whatever a user's script does, its reason is the last line
        print(reason(error), file=sys.stderr, flush=True)
        return 1
    container_server.run(container_server.application(script.answer, parameters))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
