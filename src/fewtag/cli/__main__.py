"""``python -m fewtag.cli``."""

from fewtag.cli.app import main

main()
