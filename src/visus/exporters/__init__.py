"""Networks leave as files for other runtimes, each checked against PyTorch before it is written."""
