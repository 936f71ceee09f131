"""Event in, one DAG run out: the Lambda function between EventBridge and Airflow."""
