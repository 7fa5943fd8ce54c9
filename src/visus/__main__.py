"""``python -m visus``: the command line."""

from visus.cli.main import main

main()
