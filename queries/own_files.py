"""Detections by name or in files of one's own, which are written and tried out before they join the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pipeline.errors import DetectionError, Place
from queries.detection import Detection, detection, detections, read_detection


def is_path(word: str) -> bool:
    """Return whether `word` names a file rather than a detection."""
    return word.endswith(".sql") or Path(word).is_file()


def detection_at(path: Path) -> Detection:
    """Return the detection in the file at `path`; raise DetectionError that says why there is none."""
    id = f"{path.absolute().parent.name}/{path.stem}"
    try:
        return read_detection(id, path)
    except OSError as error:
        raise DetectionError(f"cannot be read: {error.strerror}", place=Place(path)) from error
    except UnicodeDecodeError as error:
        raise DetectionError("is not UTF-8 text; save it as UTF-8", place=Place(path)) from error
    except (TypeError, ValueError, AttributeError) as error:
        sentence = f"the header is not that of a detection: {error}; `authsunset rules lint` tells more"
        raise DetectionError(sentence, place=Place(path)) from error


def detection_named(word: str) -> Detection:
    """Return the detection that `word` names, by its id or by the path of its file."""
    return detection_at(Path(word)) if is_path(word) else detection(word)


def detections_named(words: Iterable[str]) -> list[Detection]:
    """Return the detections that `words` name, or all of the house where there are none."""
    return [detection_named(word) for word in words] or list(detections())


def texts_named(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield path and text of each file that `words` name, or of all detections; it need not be one that works."""
    for word in words or [each.id for each in detections()]:
        if is_path(word):
            yield word, _text_of(word, Path(word))
        else:
            id = detection(word).id
            yield f"queries/{id}.sql", _text_of(id, files("queries") / f"{id}.sql")


def _text_of(word: str, file: Traversable) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise DetectionError(f"cannot be read: {error.strerror}", place=Place(word)) from error
    except UnicodeDecodeError as error:
        raise DetectionError("is not UTF-8 text; save it as UTF-8", place=Place(word)) from error
