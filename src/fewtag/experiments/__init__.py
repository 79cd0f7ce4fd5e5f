"""Many runs side by side, and one run for people to read: reports, plots, tuning, label curves."""
