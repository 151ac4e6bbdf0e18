# SPDX-License-Identifier: Apache-2.0
"""The cache folder: content-addressed entries, who owns them, and moving them between machines."""
