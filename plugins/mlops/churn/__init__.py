"""What is particular to the churn pipeline: the requests of its jobs, its plan, its release."""
