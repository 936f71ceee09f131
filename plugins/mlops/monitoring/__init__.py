"""What watches a deployed model: windows, requests of the analyses, schedules, outcomes, the page."""
