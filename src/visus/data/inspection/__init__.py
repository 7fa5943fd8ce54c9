"""What is wrong with a data set: damage, leaks, duplicates, unbalanced classes."""
