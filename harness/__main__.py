"""`python -m harness`: the command line, as torchrun starts it."""

from harness.cli import main

if __name__ == "__main__":
    main()
