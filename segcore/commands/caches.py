"""The command on decoded images that are kept: cache."""

import shutil
from datetime import datetime
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from segcore.commands.console import console, warn, warn_of_slow_cache
from segcore.commands.options import Cache
from segcore.counting import count_words
from segcore.data.caching.disk import DEFAULT_CACHE, resolve_folder
from segcore.data.caching.upkeep import (
    CacheState,
    Shelf,
    StoredCache,
    choose_caches,
    find_faults,
    list_caches,
    remove_cache,
    remove_leftovers,
)
from segcore.data.fetched import FOLDER, list_fetched, list_unfinished, remove_fetched, remove_unfinished
from segcore.errors import CheckpointError

_SHOWN_OF_KEY = 12


def cache(
    cache: Cache = DEFAULT_CACHE,
    remove: Annotated[list[str] | None, typer.Option(help="key to remove, or its beginning; repeatable")] = None,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="remove what no start would use: old, replaced, not whole, abandoned")
    ] = False,
    remove_data: Annotated[
        bool, typer.Option("--remove-fetched", help="remove data that was fetched or unpacked; it is fetched again")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="read every pixel and compare it with its checksum")] = False,
) -> None:
    """List the caches of decoded images, and remove those that are not wanted; they are made again when needed."""
    shelf = list_caches(resolve_folder("cache", cache))
    unwanted = list(choose_caches(shelf, remove or ()))
    if remove_old:
        unwanted += [each for each in shelf.caches if each.state is not CacheState.CURRENT and each not in unwanted]
    for each in unwanted:
        remove_cache(each)
        console.print(f"removed {each.folder.name}, {_in_gib(each.bytes)}", soft_wrap=True)
    if remove_old:
        remove_leftovers(shelf)
        remove_unfinished(shelf.root)
    if unwanted or remove_old:
        shelf = list_caches(shelf.root)
    if remove_data:
        for folder, size in list_fetched(shelf.root).items():
            remove_fetched(folder)
            console.print(f"removed {folder}, {_in_gib(size)}", soft_wrap=True)
    _print_shelf(shelf)
    if verify:
        _verify(shelf.caches)


def _verify(caches: tuple[StoredCache, ...]) -> None:
    readable = [each for each in caches if each.state in (CacheState.CURRENT, CacheState.REPLACED)]
    faults = {each.folder: fault for each in readable if (fault := find_faults(each))}
    if faults:
        told = "\n".join(f"  - {folder.name}: {fault}" for folder, fault in faults.items())
        raise CheckpointError(
            f"{len(faults)} of {count_words(len(readable), 'cache')} damaged; remove them with --remove, to be made "
            f"again:\n{told}"
        )
    console.print(f"{count_words(len(readable), 'cache')} read: every pixel is what was written.", style="green")


def _print_shelf(shelf: Shelf) -> None:
    if shelf.caches:
        table = Table("key", "data", "images", "size", "last used", "", box=box.SIMPLE)
        for column in table.columns:
            # A path is one word, of which nothing may be cut off.
            column.no_wrap, column.overflow = column.header != "data", "fold"
        for each in shelf.caches:
            used = datetime.fromtimestamp(each.used).astimezone().strftime("%Y-%m-%d %H:%M")
            key = each.folder.name[:_SHOWN_OF_KEY]
            table.add_row(key, each.data or "?", f"{each.images:,}", _in_gib(each.bytes), used, each.state)
        console.print(table)
    free = f", {_in_gib(shutil.disk_usage(shelf.root).free)} free" if shelf.root.is_dir() else ""
    total = sum(each.bytes for each in shelf.caches)
    console.print(f"{shelf.root}: {count_words(len(shelf.caches), 'cache')}, {_in_gib(total)}{free}", soft_wrap=True)
    if parts := (*shelf.parts, *list_unfinished(shelf.root)):
        warn(
            f"{len(parts)} unfinished: being made now, or left by a start that was killed; --remove-old removes "
            "the latter"
        )
    if fetched := list_fetched(shelf.root):
        size = _in_gib(sum(fetched.values()))
        console.print(
            f"{shelf.root / FOLDER}: "
            f"{count_words(len(fetched), 'data set that was', 'data sets that were')} fetched or unpacked, {size}; "
            "--remove-fetched removes them",
            soft_wrap=True,
        )
    warn_of_slow_cache(shelf.root)


def _in_gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
