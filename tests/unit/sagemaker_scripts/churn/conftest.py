"""The churn scripts import each other by bare name: SageMaker runs them from a folder of their own."""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[4] / "sagemaker_scripts" / "churn"
sys.path.insert(0, str(SCRIPTS))
