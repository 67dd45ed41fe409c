"""Pickles that would run something: what an index of sharded tensors must never do."""

import os
import pickle
import pickletools
import random
from collections.abc import Callable

_METADATA = "torch.distributed.checkpoint.metadata"


class _Calls:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self._call


def _text(value: str) -> bytes:
    return b"V" + value.encode() + b"\n"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _state_of(owner: bytes, state: bytes) -> bytes:
    return owner + state + b"b."


def gadgets(target: str) -> dict[str, bytes]:
    """Pickles by what they try; each would write ``target`` or change something that is shared."""
    write = f"touch {target}"
    an_object = _name(_METADATA, "Metadata") + b")\x81"
    changed = b"}" + _text("__call__") + _name(_METADATA, "Metadata") + b"s"
    slots = b"N" + changed + b"\x86"
    found = {
        "system": pickle.dumps(_Calls(os.system, write)),
        "eval": pickle.dumps(_Calls(eval, f"open({target!r}, 'w')")),
        "open": pickle.dumps(_Calls(open, target, "w")),
        "getattr of a class": _name("builtins", "getattr") + b"(" + _name(_METADATA, "Metadata")
        + _text("__init__") + b"tR.",
        "getattr of a module": _name("builtins", "getattr") + b"(" + _name("torch", "serialization")
        + _text("os") + b"tR.",
        "a dotted name": b"\x80\x04" + _text("torch") + _text("serialization.os.system") + b"\x93"
        + _text(write) + b"\x85R.",
        "a state for a class": _state_of(_name(_METADATA, "Metadata"), changed),
        "a state for a function": _state_of(_name("torch.serialization", "_get_layout"), changed),
        "a state for a type of torch": _state_of(_name("torch", "float32"), changed),
        "a state with slots for a class": _state_of(_name(_METADATA, "MetadataIndex"), slots),
        "a second state": _state_of(an_object + changed + b"b", changed),
        "a state for a list": _state_of(b"]", changed),
        "a state for text": _state_of(_text("text"), changed),
        "a path that is written to": _name("pathlib", "Path.write_text") + b"(" + _text(target)
        + _text("x") + b"tR.",
        "a state for a class of paths": _state_of(_name("pathlib", "PosixPath"), changed),
        "a call of an object": an_object + b"(" + _text(write) + b"tR.",
        "an instance": b"(" + _text(write) + b"ios\nsystem\n.",
        "an object by its class": b"(" + _name("os", "system") + _text(write) + b"o.",
        "an extension": b"\x80\x02\x82\x01.",
        "a persistent id": _text(write) + b"Q.",
        "keyword arguments": _name(_METADATA, "Metadata") + b")}\x92.",
        "a buffer": b"\x80\x05\x97.",
        "a key without an end": _nested_keys(60),
        "a list in itself as a key": b"}]q\x00h\x00aNs.",
    }  # fmt: skip
    for protocol in range(6):
        found[f"system by protocol {protocol}"] = pickle.dumps(_Calls(os.system, write), protocol)
    return found


def _nested_keys(depth: int) -> bytes:
    """A tuple of two equal tuples of two …: its hash would need 2**depth steps."""
    twice = b"".join(b"q%ch%c\x86" % (at, at) for at in range(depth))
    return b"})" + twice + b"Ns."


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The pickle with some bytes changed, cut out, doubled, or replaced by other operations."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del changed[at : at + chance.randint(1, 20)]
        elif kind == 2:
            changed[at:at] = changed[max(at - 20, 0) : at]
        else:
            changed[at] = ord(chance.choice(pickletools.opcodes).code)
        changed = changed or bytearray(b".")
    return bytes(changed)
