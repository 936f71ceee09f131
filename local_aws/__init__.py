"""Local AWS: the AWS API on one machine, where the calls that compute really compute.

moto owns every request shape; the packages under `services` replace what moto only pretends to do, and every
computation is a process under `processes.Supervisor`. Start it with `python -m local_aws serve`.
"""

__version__ = "0.1.0"
