"""`python -m temperament.cli`: the same as the console script."""

from temperament.cli.command import main

raise SystemExit(main())
