"""Reports: what a run leaves for people and for programs."""
