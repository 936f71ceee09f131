"""``python3 <folder>/monitoring analyzer|merger|clarify``: the jobs under the processing container contract.

Works as a folder copied beside other code, as AWS processing jobs have it, and as a package of this
repository.
"""

import importlib
import logging
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    if not __package__:
        # Run as a folder: Python put the folder itself on the path; its parent makes it a package.
        folder = Path(__file__).resolve().parent
        sys.path[0] = str(folder.parent)
        __package__ = folder.name
    code = importlib.import_module(f"{__package__}.jobs").main(sys.argv[1:])
    # Everything is published. Arrow's worker threads now and then abort a Python that is shutting down
    # (apache/arrow#34314), and exit code 134 would make a failed job of a finished one: leave without them.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
