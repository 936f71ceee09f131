"""Security rules for the templates of `infrastructure/`, by cfripper: `make lint`, in the environment `dev`.

What cfripper finds and we accept is named here, with the reason; anything else fails.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pycfmodel
from cfripper.config.config import Config
from cfripper.config.pluggy.utils import get_all_rules
from cfripper.model.utils import convert_json_or_yaml_to_dict
from cfripper.rule_processor import RuleProcessor

FOLDER = Path(__file__).resolve().parents[1] / "infrastructure"

NO_RESOURCE = "the action has no resource to name"
DEPLOYS_ROLES = "the roles stack is deployed by it; it cannot name itself, and its branch is to be protected"
ACCEPTED = {  # (template, logical name, action or rule): why
    ("roles", "AirflowModels", "sagemaker:ListEndpoints"): NO_RESOURCE,
    ("roles", "AirflowModels", "sagemaker:ListProcessingJobs"): NO_RESOURCE,
    ("roles", "AirflowModels", "sagemaker:ListMonitoringExecutions"): NO_RESOURCE,
    ("roles", "AirflowModels", "sagemaker:ListTrainingJobs"): NO_RESOURCE,
    ("roles", "AirflowModels", "sagemaker:ListEndpointConfigs"): NO_RESOURCE,
    ("roles", "AirflowModels", "sagemaker:ListModels"): NO_RESOURCE,
    ("roles", "AirflowModels", "cloudwatch:GetMetricStatistics"): NO_RESOURCE,
    ("roles", "AirflowService", "logs:DescribeLogGroups"): NO_RESOURCE,
    ("github", "Events", "logs:DescribeLogGroups"): NO_RESOURCE,
    ("github", "StorageAndRoles", "iam:PutRolePolicy"): DEPLOYS_ROLES,
    ("github", "StorageAndRoles", "iam:UpdateAssumeRolePolicy"): DEPLOYS_ROLES,
    ("storage", "Key", "GenericResourceWildcardPolicyRule"): "a key's policy hands its use over to IAM",
}


def findings(path: Path) -> Iterator[tuple[str, str, str]]:
    """(logical name, action or rule, what is wrong) of everything cfripper objects to.

    Raises RuntimeError when one of its rules crashed: the template was not checked then.
    """
    rules = get_all_rules()
    config = Config(rules=rules.keys(), stack_name=path.stem)
    processor = RuleProcessor(*[rules[name](config) for name in config.rules])
    model = pycfmodel.parse(convert_json_or_yaml_to_dict(path.read_text()))
    result = processor.process_cf_template(model, config)
    for error in result.exceptions:
        raise RuntimeError(f"{path.name}: a rule of cfripper failed: {error}")
    for failure in result.failures:
        for name in sorted(failure.resource_ids or {""}):
            for what in sorted(failure.actions or [failure.rule]):
                yield name, what, f"{failure.rule}: {failure.reason}"


def main() -> int:
    logging.disable(logging.WARNING)  # it warns of each resource type that it has no model of
    bad = 0
    for path in sorted(FOLDER.rglob("*.yaml")):
        for name, what, reason in findings(path):
            if (path.stem, name, what) not in ACCEPTED:
                bad += 1
                print(f"infrastructure/{path.relative_to(FOLDER)}: {name}: {what}: {reason}")
    print(f"cfripper: {bad} problems in infrastructure/")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
