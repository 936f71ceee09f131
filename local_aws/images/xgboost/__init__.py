"""SageMaker's built-in XGBoost 3.2-0: training and serving without the container."""
