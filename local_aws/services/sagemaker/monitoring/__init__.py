"""Model Monitor: job definitions, schedules, and executions that are real processing jobs.

    definitions   CreateDataQualityJobDefinition and its family, one table for the four kinds
    schedules     CreateMonitoringSchedule and its family
    calendar      when a schedule fires and which window it looks at: pure functions of numbers and times
    requests      an execution's processing jobs as CreateProcessingJob requests
    executions    the life of an execution, from the hour that has come to its final status
    timer         the thread that fires schedules and moves executions on
    metrics       what the analysers measured, into CloudWatch

An execution is written down, durably, in the same step as the hour it was fired for: a kill in between loses
nothing, and one hour never fires twice.
"""
