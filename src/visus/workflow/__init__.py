"""The work behind the public functions: planning, training, loaded models, scoring, sliding, saving, reporting."""
