"""Write image_uris.json from the SageMaker SDK's own table: `python -m config.refresh_image_uris`.

Runs in the environment of the SDK (.venv/sdk), because the SDK cannot live beside Airflow. The version is
pinned: `latest` in that table means XGBoost 0.72.
"""

import json
from pathlib import Path

VERSIONS = {
    "xgboost": "3.2-0",
    "sklearn": "1.4-2-py312",  # the version whose Python is named: Vowpal Wabbit's wheels begin at 3.11
    "model-monitor": "",  # has one, without a name
    "clarify": "1.0",
}
SCOPES = {"clarify": "processing"}  # where the table has it, if not for training
TABLE = Path(__file__).with_name("image_uris.json")


def image_uris() -> dict[str, dict[str, object]]:
    """Framework -> {"version", "uris": {region: URI}}, every region the SDK's table knows."""
    from sagemaker.core import image_uris as sdk

    found: dict[str, dict[str, object]] = {}
    for framework, version in VERSIONS.items():
        config = sdk.config_for_framework(framework)
        config = config.get(SCOPES.get(framework, "training"), config)
        regions = config["versions"][version]["registries"]
        uris = {
            region: sdk.retrieve(framework, region, version=version or None, instance_type="ml.m5.large")
            for region in sorted(regions)
        }
        found[framework] = {"version": version, "uris": uris}
    return found


if __name__ == "__main__":
    TABLE.write_text(json.dumps(image_uris(), indent=2) + "\n")
    print(f"wrote {TABLE}")
