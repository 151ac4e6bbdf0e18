"""The cache folder: content-addressed entries, who owns them, and moving them between machines."""
