# SPDX-License-Identifier: Apache-2.0
"""Runs a task in a process of its own.

    python -m harness.support.cluster.task_process FOLDER PARENT

FOLDER has the task in `task`, and gets the result in `result` and the files of the task below `files`. PARENT: ID of
the process that started this one, with which it ends.
"""

import pickle
import sys
import traceback
from pathlib import Path

from harness.support.cluster.cluster_task import TaskResult
from harness.support.errors import GuestLostError, ModcompatError
from harness.support.process import die_with_parent

TASK, RESULT, FILES = "task", "result", "files"


def main(folder: Path, parent: int) -> None:
    """Run the task in a folder, and write its result."""
    die_with_parent(parent)
    files = folder / FILES
    files.mkdir()
    try:
        work, arguments = pickle.loads((folder / TASK).read_bytes()).unpacked()
        result = TaskResult(value=work(files, *arguments))
    except ModcompatError as error:
        result = TaskResult(error=error)
    except (OSError, GuestLostError) as error:  # nothing to mend in modcompat, as in harness.cli.main
        result = TaskResult(error=ModcompatError(str(error)))
    except Exception:  # noqa: BLE001 - the command shows it
        result = TaskResult(fault=traceback.format_exc())
    (folder / RESULT).write_bytes(pickle.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
