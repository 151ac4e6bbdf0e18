#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#SBATCH --job-name=modcompat
#SBATCH --array=1-4
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
# Slurm: four tasks judge, and a job that depends on them merges. In a folder that all nodes share, with modcompat.toml:
#   sh ci/modcompat.sh setup
#   parts=$(sbatch --parsable ci/slurm-array.sh)
#   sbatch --dependency=afterany:"$parts" --wrap="sh ci/modcompat.sh merge"
exec sh ci/modcompat.sh "$SLURM_ARRAY_TASK_ID" "$SLURM_ARRAY_TASK_COUNT"
