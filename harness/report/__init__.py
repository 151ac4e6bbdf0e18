# SPDX-License-Identifier: Apache-2.0
"""Reports of a run, for people and for programs, made from the files in its folder."""
