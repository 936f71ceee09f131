"""Write image_uris.json from the SageMaker SDK's own table: `python -m config.refresh_image_uris`.

Runs in the environment of the SDK (.venv/sdk), because the SDK cannot live beside Airflow. The version is
pinned: `latest` in that table means XGBoost 0.72.
"""

import json
from pathlib import Path

XGBOOST_VERSION = "3.2-0"
TABLE = Path(__file__).with_name("image_uris.json")


def image_uris() -> dict[str, dict[str, object]]:
    """Framework -> {"version", "uris": {region: URI}}, every region the SDK's table knows."""
    from sagemaker.core import image_uris as sdk

    regions = sdk.config_for_framework("xgboost")["training"]["versions"][XGBOOST_VERSION]["registries"]
    uris = {region: sdk.retrieve("xgboost", region, version=XGBOOST_VERSION) for region in sorted(regions)}
    return {"xgboost": {"version": XGBOOST_VERSION, "uris": uris}}


if __name__ == "__main__":
    TABLE.write_text(json.dumps(image_uris(), indent=2) + "\n")
    print(f"wrote {TABLE}")
