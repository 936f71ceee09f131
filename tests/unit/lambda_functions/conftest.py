"""What the function sees of its surroundings: variables, and clients that remember what they were asked."""

from __future__ import annotations

import os

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "BUCKET": "mlops-local-us-east-1-123456789012",
    "DEAD_LETTER_QUEUE_URL": "http://queue/dead",
    "DRIFT_ALARM": "churn-local-drift",
    "MAXIMUM_RECEIVES": "3",
    "MODEL_GROUP": "churn-local",
    "MWAA_ENVIRONMENT": "mlops-local",
    "POWERTOOLS_METRICS_NAMESPACE": "mlops/triggers",
}
os.environ |= ENVIRONMENT  # Powertools reads some of them when the function is imported
