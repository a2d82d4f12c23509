"""`python -m temperament.cli`: the same as the console script."""

from temperament.cli.command_line import main

raise SystemExit(main())
