"""Pictures of answers: functions of arrays, which the values call."""
