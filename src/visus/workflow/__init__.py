"""What the faces share: the plan and course of a training, a loaded model, judging, sliding, saving, reporting."""
