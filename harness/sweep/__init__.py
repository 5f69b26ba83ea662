"""Several runs at once: the pending train stages side by side, each through DVC's own `dvc repro -s`."""
