"""Baseline samples kept as files, so that they are read once and not by every run.

A file's name is a hash of all that decides the sample, the baseline's identifier in the
warehouse (its definition's hash, which counts its rows and labels) included: what has
changed has another name. Files that are not used for a month are deleted.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from orchestration import warehouse
from orchestration.evaluation.results import Column

# Raise it when files are written otherwise.
_VERSION = 1
_KEPT_SECONDS = 30 * 24 * 3600


def baseline_directory(environ: Mapping[str, str]) -> Path:
    """Where baselines are kept: in the state directory."""
    return warehouse.home(environ) / "baselines"


def baseline_key(**decisive: object) -> str:
    """A name for a sample that all of ``decisive``, by their ``repr``, decide."""
    text = repr((_VERSION, sorted(decisive.items())))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_baseline(
    directory: Path, key: str, columns: Sequence[Column]
) -> pd.DataFrame | None:
    """The sample of that key with these columns, or None if there is none, or torn."""
    path = _path(directory, key)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            frame = pd.DataFrame(
                {column.name: _unpacked(arrays, column) for column in columns}
            )
        # In use: it is not to be deleted.
        os.utime(path)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return frame


def write_baseline(
    directory: Path, key: str, columns: Sequence[Column], frame: pd.DataFrame
) -> None:
    """Keep a sample, and delete those that nobody has used for a month."""
    directory.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for column in columns:
        arrays.update(_packed(frame[column.name], column))
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".", suffix=".npz")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez_compressed(file, **arrays)
        temporary.replace(_path(directory, key))
    finally:
        temporary.unlink(missing_ok=True)
    _delete_unused(directory)


def _delete_unused(directory: Path) -> None:
    oldest = time.time() - _KEPT_SECONDS
    for path in directory.glob("*.npz"):
        # Another run may delete it first.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _path(directory: Path, key: str) -> Path:
    return directory / f"{key}.npz"


def _packed(values: "pd.Series[Any]", column: Column) -> dict[str, Any]:
    """Numbers as they are, texts as JSON, vectors end to end with their lengths."""
    name = column.name
    if column.kind == "numerical":
        return {name: values.to_numpy(dtype=np.float64)}
    if column.kind == "embedding":
        lengths = [-1 if vector is None else len(vector) for vector in values]
        parts = [vector for vector in values if vector is not None]
        return {
            name: np.concatenate(parts) if parts else np.empty(0, dtype=np.float32),
            f"{name} lengths": np.array(lengths, dtype=np.int64),
        }
    # ASCII, so that half a surrogate pair survives too.
    text = json.dumps(values.tolist())
    return {name: np.frombuffer(text.encode("ascii"), dtype=np.uint8)}


def _unpacked(arrays: Any, column: Column) -> Any:
    stored = arrays[column.name]
    if column.kind == "numerical":
        return stored
    if column.kind == "embedding":
        lengths = arrays[f"{column.name} lengths"]
        ends = np.cumsum(np.maximum(lengths, 0))
        return pd.Series(
            [
                None if length < 0 else stored[end - length : end]
                for length, end in zip(lengths, ends, strict=True)
            ],
            dtype=object,
        )
    return pd.Series(json.loads(stored.tobytes()), dtype=object)
