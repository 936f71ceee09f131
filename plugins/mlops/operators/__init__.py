"""Operators: the provider's, with what it lacks so that every task can be killed and retried.

They import boto3 through the provider, about 0.4 s. That is paid where DAGs are parsed, and is worth it: each
task that talks to AWS needs boto3 anyway, and what is not written here need not be maintained here.
"""

from mlops.operators.deploy import DeployEndpointOperator
from mlops.operators.glue import GlueETLOperator
from mlops.operators.sagemaker import ProcessingOperator, TrainingOperator

__all__ = ["DeployEndpointOperator", "GlueETLOperator", "ProcessingOperator", "TrainingOperator"]
