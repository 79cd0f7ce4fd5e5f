"""``python -m fewtag``."""

from fewtag.cli.app import main

main()
