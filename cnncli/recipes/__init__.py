"""One file per job: the only floor that takes a config apart."""
