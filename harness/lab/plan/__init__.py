"""What is to be run: cells, vendor modules, exercises, settings and the manifest."""
