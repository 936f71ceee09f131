"""A contextual bandit policy on Vowpal Wabbit: configuration, features, training, evaluation, serving.

The folder above is what SageMaker gets as source: `train.py`, `evaluate_policies.py` and `inference.py` are
its entry points, this package is what they share. Whatever turns an observation into the learner's features
or a model's output into probabilities exists once, here, so that it is the same in all three.
"""
