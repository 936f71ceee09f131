"""What a crawler finds out about files: their format and columns (`schema`), which of them are one table
(`datasets`). Runs as a process of its own (`python -m local_aws.services.glue.crawl PLAN RESULT`)."""
