"""What runs on the device: functions in Triton, whose types mypy can't check."""
