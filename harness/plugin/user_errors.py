# SPDX-License-Identifier: Apache-2.0
"""Errors that the user can fix, as failures of a test without a traceback."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.guest.failure import GuestFailure
from harness.support.errors import ModcompatError

IN_TESTS_OF_USERS = "modcompat: "  # in front of a message


@contextmanager
def user_errors_fail(prefix: str = "") -> Iterator[None]:
    """Fail the test with the message of an error that the user can fix. prefix: for the message."""
    problem = None
    try:
        yield
    except ModcompatError as error:
        problem = str(error)
    except GuestFailure as failure:
        problem = f"the guest was lost: {failure.headline}"
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" on the disk of {error.filename}" if error.filename else ""
            problem = f"no space left{where}; next: `modcompat cache prune`"
        elif error.errno in (errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENOENT) and error.filename:
            problem = f"{error.filename}: {error.strerror}; next: check its owner, or set MODCOMPAT_CACHE and --run-dir"
        else:
            raise
    if problem:
        raise pytest.fail.Exception(f"{prefix}{problem}", pytrace=False) from None  # pytest would also show a cause
