"""q: what each arm would earn, predicted for a round by a model that has not seen the round.

A ridge regression on the policy's own tokens, their hashes, crossed with the arm's. Rounds are dealt into
folds by their event id, so the folds are the same for every policy and at every run.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import Ridge

BITS = 18
PENALTY = 1.0
MOST_ROWS = 200_000  # rounds a fold is fitted on; more of them change little and cost memory


def cross_fitted(
    event_ids: Sequence[str],
    contexts: Sequence[Sequence[str]],
    offers: Sequence[Sequence[Sequence[str]]],
    played: npt.NDArray[np.int64],
    rewards: npt.NDArray[np.float64],
    *,
    folds: int,
    low: float,
    high: float,
) -> npt.NDArray[np.float64]:
    """q of shape (n, K), K the largest number of arms on offer; 0 beyond a round's own arms.

    contexts: tokens of each round. offers: for each round, the tokens of each arm. low, high: of a reward;
    predictions are clipped to them. Where a fold has fewer than two rounds beyond itself, q is the middle.
    """
    n = len(event_ids)
    q = np.zeros((n, max(map(len, offers))))
    fold = np.array([zlib.crc32(event_id.encode()) % folds for event_id in event_ids])
    hasher = FeatureHasher(n_features=1 << BITS, input_type="string")
    hashed = hasher.transform([crossed(contexts[i], offers[i][place]) for i, place in enumerate(played)])
    # Columns that no round fills have no weight; without them a fit takes a tenth of the time.
    filled = np.flatnonzero(hashed.getnnz(axis=0))
    features = hashed[:, filled]
    for number in range(folds):
        inside = np.flatnonzero(fold == number)
        outside = np.flatnonzero(fold != number)[:MOST_ROWS]
        if not len(inside):
            continue
        pairs = [(i, a) for i in inside for a in range(len(offers[i]))]
        if len(outside) < 2:
            predicted = np.full(len(pairs), (low + high) / 2)
        else:
            model = Ridge(alpha=PENALTY, solver="sparse_cg", tol=1e-6)
            model.fit(features[outside], rewards[outside])
            asked = hasher.transform(crossed(contexts[i], offers[i][a]) for i, a in pairs)
            predicted = model.predict(asked[:, filled])
        rounds, arms = np.array(pairs).T
        q[rounds, arms] = np.clip(predicted, low, high)
    return q


def crossed(context: Sequence[str], arm: Sequence[str]) -> list[str]:
    """Tokens of a context and an arm, and every pair of the two."""
    return [*context, *arm, *(f"{c}&{a}" for c in context for a in arm)]
