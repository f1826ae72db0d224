"""YAML that people write, read with bounds: no tag makes an object, no alias a value without end."""

from pathlib import Path
from typing import Any

import yaml

__all__ = ["YamlRefusedError", "load_yaml", "read_yaml"]

MOST_CHARACTERS = 1 << 20
"""Of a file; a whole set of parameters takes some thousand."""
MOST_EXPANDED = 1 << 22
"""With what each alias stands for written out."""
WHOLE = "tag:yaml.org,2002:int"
LONGEST_NUMBER = 100  # Python writes none of over 4,300 digits, which no message survives


class YamlRefusedError(yaml.YAMLError):
    """A file that is no YAML that we read."""


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return the one document of a file; None if it is empty.

    Raises:
        YAMLError: if it is none, or one that would grow without end.
        OSError: if the file cannot be read.
    """
    if path.exists() and not path.is_file():  # who opens a pipe waits for its other end
        raise YamlRefusedError(f"{path} is no regular file; name one")
    if path.stat().st_size > 4 * MOST_CHARACTERS:  # of UTF-8 the most a character takes
        raise YamlRefusedError(f"{path} is over {MOST_CHARACTERS} characters; shorten it")
    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise YamlRefusedError(f"{path} is not UTF-8: {error}") from error


def load_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """Return the one document of a text; None if it is empty.

    Raises:
        YAMLError: as `read_yaml`.
    """
    if len(text) > MOST_CHARACTERS:
        raise YamlRefusedError(f"over {MOST_CHARACTERS} characters; shorten it")
    loader = yaml.SafeLoader(text)
    try:
        document = loader.get_single_node()
        if document is None:
            return None
        _Expanded().measure(document)
        return loader.construct_document(document)
    except RecursionError:
        raise YamlRefusedError("nested too deeply; write it flatter") from None
    except (ValueError, OverflowError, LookupError, AttributeError) as error:  # of PyYAML's own
        raise YamlRefusedError(f"a value makes no sense: {error}") from error
    finally:
        loader.dispose()


class _Expanded:
    """How long a document would be with each alias written out."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._open: set[int] = set()

    def measure(self, node: yaml.Node) -> int:
        """Return characters and values.

        Raises:
            YamlRefusedError: if they are too many, or a value holds itself.
        """
        if id(node) in self._known:
            return self._known[id(node)]
        if id(node) in self._open:
            raise YamlRefusedError("a value holds itself by an alias; write it out")
        if node.tag == WHOLE and len(node.value) > LONGEST_NUMBER:
            raise YamlRefusedError(f"a whole number of over {LONGEST_NUMBER} characters")
        self._open.add(id(node))
        found = 1 + len(node.value) + sum(map(self.measure, _within(node)))
        self._open.remove(id(node))
        if found > MOST_EXPANDED:
            raise YamlRefusedError("its aliases stand for too much; write out what is meant")
        self._known[id(node)] = found
        return found


def _within(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
