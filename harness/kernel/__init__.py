"""Kernels: source tree -> configuration -> build -> cached artefact. Knows nothing of guests."""
