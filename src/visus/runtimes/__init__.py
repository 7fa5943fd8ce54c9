"""Programs that run exported networks; none of them loads torch."""
