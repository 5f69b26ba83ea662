"""Whether this machine can run a profile, before anybody starts."""
