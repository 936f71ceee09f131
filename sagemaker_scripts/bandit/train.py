"""Entry point of the training job; `policy/training.py` says what it does."""

import sys

from policy.training import main

if __name__ == "__main__":
    sys.exit(main())
