"""The kinds of answers: target and prediction alike."""
