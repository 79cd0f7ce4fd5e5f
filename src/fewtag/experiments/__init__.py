"""Many runs side by side, and one run for people to read: the grid, the paper's tables, reports, label curves, tuning."""
