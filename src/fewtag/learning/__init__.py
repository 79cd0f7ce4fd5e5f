"""How taggers learn: losses, pseudo-labels, noise, feedback, and the learner that takes gradient steps."""
