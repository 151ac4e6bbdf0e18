# SPDX-License-Identifier: Apache-2.0
"""Reports: what a run leaves for people and for programs, made of the files in its folder."""
