"""What every task of the local stack would otherwise do anew: Airflow's forkserver imports this module once.

Tasks are forked from that process, and inherit

* its modules, so that not each of them pays a second for what every DAG file imports;
* one loader of botocore's data for all their sessions, which has read what the AWS services that DAGs call
  need (30 ms a client);
* the table that `inspect.stack` builds when first called (60 ms): the provider asks it for the operator's
  name before a task's first AWS client;
* a heap that the garbage collector leaves alone: looking through it would copy every page of it into every
  task.

Nothing of DAGs, plugins and config is imported: what is edited there is read by the next task.
"""

from __future__ import annotations

import functools
import gc
import importlib
import inspect

import boto3
import botocore.session

MODULES = (
    "airflow.dag_processing.dagbag",
    "airflow.executors.local_executor",
    "airflow.providers.amazon.aws.operators.athena",
    "airflow.providers.amazon.aws.operators.glue",
    "airflow.providers.amazon.aws.operators.sagemaker",
    "airflow.providers.standard.decorators.branch_python",
    "airflow.providers.standard.decorators.sensor",
    "airflow.providers.standard.decorators.short_circuit",
    "airflow.sdk.execution_time.task_runner",
)
SERVICES = ("athena", "glue", "logs", "s3", "sagemaker", "sagemaker-runtime")

for module in MODULES:
    importlib.import_module(module)
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
for service in SERVICES:
    boto3.Session(region_name="us-east-1").client(service)  # calls nothing
inspect.stack()
gc.collect()
gc.freeze()
