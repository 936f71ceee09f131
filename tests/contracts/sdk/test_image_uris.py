"""config/image_uris.json is the SageMaker SDK's table; runs in the SDK's environment."""

from __future__ import annotations

import json

from config import refresh_image_uris


def test_the_table_is_the_sdks() -> None:
    assert json.loads(refresh_image_uris.TABLE.read_text()) == refresh_image_uris.image_uris()


def test_no_image_is_latest() -> None:
    uris = refresh_image_uris.image_uris()["xgboost"]["uris"]
    assert isinstance(uris, dict)
    assert {uri.rsplit(":", 1)[1] for uri in uris.values()} == {"3.2-0"}
    assert uris["us-east-1"] == "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
