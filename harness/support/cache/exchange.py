# SPDX-License-Identifier: Apache-2.0
"""Sends all entries of a cache to its remote, and fetches all that the cache lacks."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.support.cache.packed_entry import RefusedError, has_links
from harness.support.cache.remote import EXAMPLES, RemoteError
from harness.support.cache.sharing import KEPT, PINS, READ_ONLY_VARIABLE, URL_VARIABLE, Sharing, fetch, send
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.progress import say, task_if_long


@dataclass
class Exchange:
    """What was sent or fetched."""

    # entries, <kind>/<name>, that were sent or fetched
    moved: list[str] = field(default_factory=list)
    # how many entries the other side lacked
    missing: int = 0
    # how many it had already
    present: int = 0
    # how many have links to files of this machine, which are not sent
    linked: int = 0
    # damaged entry -> why
    refused: dict[str, str] = field(default_factory=dict)


def push(store: Store, sharing: Sharing | None, kinds: Collection[str]) -> Exchange:
    """Send every entry (of these kinds) that the remote lacks. Raises ModcompatError."""
    sharing = _required(sharing, kinds)
    if sharing.read_only:
        raise ModcompatError(
            f"the remote cache {sharing.remote.title} is read-only here", next_step=f"unset {READ_ONLY_VARIABLE}"
        )
    wanted = [entry for entry in store.entries() if _is_wanted(entry.kind, kinds)]
    entries = [entry for entry in wanted if not has_links(entry.path)]
    done = Exchange(linked=len(wanted) - len(entries))
    with _explained(sharing, done, "sent"):
        there = sharing.remote.entries()
        missing = [entry for entry in entries if f"{entry.kind}/{entry.name}" not in there or entry.kind in PINS]
        done.missing, done.present = len(missing), len(entries) - len(missing)
        with task_if_long(f"sending {len(missing)} entries", len(missing), "entries") as shown:
            for entry in missing:
                name = f"{entry.kind}/{entry.name}"
                if not store.is_whole(entry.path):
                    done.refused[name] = "it is damaged"
                else:
                    with store.scratch() as scratch:
                        send(sharing.remote, entry.path, scratch)
                    done.moved.append(name)
                shown.step()
    return done


def pull(store: Store, sharing: Sharing | None, kinds: Collection[str]) -> Exchange:
    """Fetch every entry (of these kinds) that the cache lacks. Raises ModcompatError."""
    sharing = _required(sharing, kinds)
    here = {f"{entry.kind}/{entry.name}" for entry in store.entries()}
    done = Exchange()
    with _explained(sharing, done, "fetched"):
        known = sharing.remote.entries()
        if not known:
            say(f"remote cache {sharing.remote.title}: it is empty, or does not exist")
        there = {name for name in known if _is_wanted(name.split("/")[0], kinds)}
        missing = sorted(there - here)
        done.missing, done.present = len(missing), len(there) - len(missing)
        with task_if_long(f"fetching {len(missing)} entries", len(missing), "entries") as shown:
            for name in missing:
                try:
                    if (size := sharing.remote.size(name)) is None:
                        raise RefusedError("it is not there any more")  # noqa: TRY301 - as if it had gone later
                    with store.scratch() as scratch:
                        added = store.adopt(fetch(sharing.remote, name, size, scratch))
                except RefusedError as error:
                    done.refused[name] = str(error)
                except OSError as error:
                    raise store.explained(error) from error
                else:  # another process may have built it meanwhile
                    done.moved += [name] * added
                    done.present += not added
                shown.step()
    return done


def _required(sharing: Sharing | None, kinds: Collection[str]) -> Sharing:
    """The remote. Raises ModcompatError if there is none, or for kinds that it does not take."""
    if sharing is None:
        raise ModcompatError("there is no remote cache", next_step=f"set {URL_VARIABLE} to its URL, {EXAMPLES}")
    for kind in kinds:
        if kind in KEPT:
            raise ModcompatError(f"entries of the kind {kind} stay on their machine: {KEPT[kind]}")
    return sharing


def _is_wanted(kind: str, kinds: Collection[str]) -> bool:
    return kind not in KEPT and (not kinds or kind in kinds)


@contextmanager
def _explained(sharing: Sharing, done: Exchange, moved: str) -> Iterator[None]:
    try:
        yield
    except RemoteError as error:
        raise ModcompatError(
            f"remote cache {sharing.remote.title}: {error}",
            next_step=f"{len(done.moved)} of {done.missing} entries were {moved}; run the command again for the rest"
            if done.missing
            else "",
        ) from None
