"""What an Airflow worker imports: names, job requests, operators, the gate. No data set is loaded here."""
