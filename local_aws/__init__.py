"""Local AWS: the AWS API on one machine, where the calls that compute really compute.

moto owns every request shape; the packages under `services` replace what moto only pretends to do, and every
computation is a process under `processes.Supervisor`. Start it with `python -m local_aws serve`.
"""

import os

__version__ = "0.1.0"

# Read by moto when it is imported, by whichever module comes first. No CORS: a page in a browser must not
# read from, or write to, this server.
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
os.environ.setdefault("MOTO_ACCOUNT_ID", "123456789012")
