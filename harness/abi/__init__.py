"""The ABI: facts of a .ko file. Takes files and returns facts; knows no guest."""
