"""``python -m milannotations``: the command line, for ``torchrun -m`` and the like."""

from milannotations.cli import main

if __name__ == "__main__":
    main()
