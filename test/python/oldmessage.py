"""Runs the command discordproxymessage of the PyPI package discordproxy 1.5."""

import sys

from discordproxy._cli import main

sys.argv[0] = "discordproxymessage"
main()
