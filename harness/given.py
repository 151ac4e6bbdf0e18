"""What users give, as options or in the manifest: looked at in one way, and a mistake is one clear line."""

import errno
import stat
from pathlib import Path

from harness.errors import ModcompatError


def expanded(path: str | Path) -> Path:
    """A path with `~` and `~someone` written out. Raises ModcompatError where there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ModcompatError(
            f"{path}: there is no home folder of that name", next_step="write the path out, or ./~ for such a name"
        ) from None


def require_regular(path: Path) -> None:
    """Raises OSError for what has no end or is not there: devices, pipes, folders, links in a circle."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
