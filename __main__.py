"""`python -m aisp_prof`: the command line without an installed script."""

from .cli import main

main()
