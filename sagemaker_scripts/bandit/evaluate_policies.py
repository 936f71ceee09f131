"""Entry point of the evaluation job; `policy/evaluation.py` says what it does.

python3 evaluate_policies.py --data FOLDER --challenger FOLDER --output FOLDER
    [--champion FOLDER] [--message FILE] [--confidence 0.95] [--folds 5]
"""

import sys
from pathlib import Path

from policy.installing import install_missing

if __name__ == "__main__":
    # A processing job, unlike a training job, gets no requirements installed.
    install_missing(Path(__file__).with_name("requirements.txt"))

from policy.evaluation import main

if __name__ == "__main__":
    sys.exit(main())
