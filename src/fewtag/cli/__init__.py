"""The command line: one small file a group of verbs, no logic."""

from fewtag.cli.app import main

__all__ = ["main"]
