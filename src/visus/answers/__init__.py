"""Reads the raw outputs of networks as answers, with NumPy alone: whatever computed them, the answers are the same."""
