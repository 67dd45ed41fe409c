"""Pickles read as plain data: nothing that a pickle names is imported or called.

``pickle.loads`` calls every name in the file, and an unpickler that allows some names still calls
them with arguments and states from the file. The reader here builds an :class:`Object` for
each call instead, with the name, the arguments and the state.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LARGEST = 1 << 24


class NotPlainError(ValueError):
    """A pickle is damaged, or needs more than plain data."""


@dataclass(frozen=True)
class Name:
    """A name in a module, to which a pickle refers."""

    module: str
    name: str


# compared by identity, because the object that it stands for may be the key of a dictionary
@dataclass(eq=False)
class Object:
    """Stands for the result of a call that was not made: its name, arguments and state."""

    name: Name
    arguments: tuple[Any, ...]
    state: Any = None


def read_pickle(data: bytes, *, names: frozenset[Name]) -> Any:
    """Return the plain data of a pickle, with an :class:`Object` for each call of a name.

    Raises
    ------
    NotPlainError
        If the pickle is damaged or larger than 16 MiB, names anything but ``names``, gives a state
        twice or to a plain value, or has an operation that plain data does not need.
    """
    if len(data) > _LARGEST:
        raise NotPlainError(f"expected at most {_LARGEST:,} bytes, got {len(data):,}")
    reader = _Reader(names)
    try:
        for operation, argument, _ in pickletools.genops(data):
            reader.do(operation.name, argument)
        return reader.pop()
    except NotPlainError:
        raise
    except Exception as error:
        # a damaged pickle raises errors of many kinds, here and in pickletools
        raise NotPlainError(f"damaged ({type(error).__name__})") from error


class _Reader:
    """The stack and the memory on which the operations of a pickle work."""

    def __init__(self, names: frozenset[Name]) -> None:
        self._names = names
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memory: dict[int, Any] = {}

    def do(self, operation: str, argument: Any) -> None:
        if operation in _CONSTANTS:
            self._stack.append(_CONSTANTS[operation]())
        elif operation in _LITERALS:
            self._stack.append(argument)
        elif operation in _ACTIONS:
            _ACTIONS[operation](self, argument)
        elif operation not in _WITHOUT_EFFECT:
            raise NotPlainError(f"the operation {operation} is no part of plain data")

    def pop(self) -> Any:
        return self._stack.pop()

    def push_name(self, module: Any, name: Any) -> None:
        is_text = isinstance(module, str) and isinstance(name, str)
        if not is_text or Name(module, name) not in self._names:
            raise NotPlainError(f"{module:.80}.{name:.80} is no part of plain data")
        self._stack.append(Name(module, name))

    def push_call(self, _argument: Any) -> None:
        arguments, name = self.pop(), self.pop()
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise NotPlainError("a call of something that is no name")
        self._stack.append(Object(name, arguments))

    def give_state(self, _argument: Any) -> None:
        state, owner = self.pop(), self._stack[-1]
        if not isinstance(owner, Object) or owner.state is not None:
            raise NotPlainError("a state for something that takes none")
        owner.state = state

    def since_mark(self) -> list[Any]:
        at = self._marks.pop()
        values = self._stack[at:]
        del self._stack[at:]
        return values

    def mark(self, _argument: Any) -> None:
        self._marks.append(len(self._stack))

    def push_tuple(self, count: int) -> None:
        at = len(self._stack) - count
        values = tuple(self._stack[at:])
        del self._stack[at:]
        self._stack.append(values)

    def push_marked(self, kind: Callable[[list[Any]], Any]) -> None:
        values = self.since_mark()
        self._stack.append(kind(values))

    def extend_list(self, values: list[Any]) -> None:
        owner = self._stack[-1]
        if not isinstance(owner, list):
            raise NotPlainError("items for something that is no list")
        owner.extend(values)

    def extend_dict(self, values: list[Any]) -> None:
        owner = self._stack[-1]
        if not isinstance(owner, dict):
            raise NotPlainError("items for something that is no dictionary")
        # the hash of deeply nested tuples may take forever
        if not all(isinstance(key, str | Object) for key in values[::2]):
            raise NotPlainError("a key that is no text")
        owner.update(zip(values[::2], values[1::2], strict=True))

    def remember(self, index: int | None) -> None:
        self._memory[len(self._memory) if index is None else index] = self._stack[-1]

    def recall(self, index: int) -> None:
        self._stack.append(self._memory[index])


def _named_by_stack(reader: _Reader, _argument: Any) -> None:
    name, module = reader.pop(), reader.pop()
    reader.push_name(module, name)


def _set_item(reader: _Reader, _argument: Any) -> None:
    value, key = reader.pop(), reader.pop()
    reader.extend_dict([key, value])


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_LITERALS = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "BINFLOAT", "UNICODE"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES"),
    }
)
_ACTIONS: dict[str, Callable[[_Reader, Any], Any]] = {
    "GLOBAL": lambda reader, argument: reader.push_name(*argument.split(" ", 1)),
    "MARK": _Reader.mark,
    "STACK_GLOBAL": _named_by_stack,
    "REDUCE": _Reader.push_call,
    "NEWOBJ": _Reader.push_call,
    "BUILD": _Reader.give_state,
    "TUPLE1": lambda reader, _: reader.push_tuple(1),
    "TUPLE2": lambda reader, _: reader.push_tuple(2),
    "TUPLE3": lambda reader, _: reader.push_tuple(3),
    "TUPLE": lambda reader, _: reader.push_marked(tuple),
    "LIST": lambda reader, _: reader.push_marked(list),
    "APPEND": lambda reader, _: reader.extend_list([reader.pop()]),
    "APPENDS": lambda reader, _: reader.extend_list(reader.since_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda reader, _: reader.extend_dict(reader.since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Reader.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Reader.recall),
}
_WITHOUT_EFFECT = frozenset(("PROTO", "FRAME", "STOP"))
