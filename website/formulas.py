"""Formulas in docstrings: the text that a terminal shows, ``E ‖∇D(x̂)‖₂²``, becomes LaTeX."""

import re

_TABLE = r"""
Σ \sum; ∏ \prod; ‖ \Vert; ∇ \nabla; ∂ \partial; · \cdot; × \times; − -; ≤ \le; ≥ \ge; ≠ \ne; ∈ \in
∞ \infty; ± \pm; ≈ \approx; ∘ \circ; ⟨ \langle; ⟩ \rangle; ⌊ \lfloor; ⌋ \rfloor; ⌈ \lceil
⌉ \rceil; → \to; ½ \tfrac12; ¼ \tfrac14; ¾ \tfrac34; ⊗ \otimes; ⪰ \succeq; ⪯ \preceq; ≼ \preceq
≺ \prec; ∪ \cup; ∩ \cap; ← \gets; ↦ \mapsto; { \{; } \}; ~ \sim; % \%; # \#; … \dots; ℓ \ell
"""
_SIGNS = {
    sign: f"{code} "
    for sign, code in (pair.split() for pair in re.split(r"[;\n]+ ?", _TABLE) if pair)
}
_PLAIN = set("()[]|.,:;=<>+-/!*' 0123456789")
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀˣᵉⁿᵏᵗ½", "0123456789+-Txenkt½", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
_ACCENTS = {"\u0302": r"\hat", "\u0304": r"\bar", "\u0303": r"\tilde", "\u0307": r"\dot"}
_BUILT_IN = {"max", "min", "log", "exp", "sup", "inf", "det", "arg", "sin", "cos", "tanh"}
_FUNCTIONS = {"tr", "diag", "sign", "erf", "trace", "rank"}
_MARKS = set(_SIGNS) - set("{}~%#…") | set(_RAISED) | set(_LOWERED) | {"√", *_ACCENTS}
_WORD = re.compile(r"[A-Za-z]+(?:_[A-Za-z]{3,})*(?![A-Za-z])|[Α-ΡΤ-Ωα-ω]")
_SHAPE = re.compile(r"\([\w*.,·²/' +-]*,[\w*.,·²/' +-]*\)( → \([\w*.,·²/' +-]*\))?")
_GREEK = re.compile(r"[α-ω](_\w+)?|[α-ω] [=<>] .*|.* [=<>] [α-ω]/?\w?")
_NAMES = {"in", "of", "kr", "nu", "kh", "kw", "or", "if"}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)e([-+]?\d+)")


def latex(text: str) -> str | None:
    r"""Return the LaTeX of a formula in plain text, or None if the text is code or not understood.

    Examples
    --------
    >>> print(latex("½ E ‖∇D(x̂)‖₂²"))
    \tfrac12  E \Vert \nabla D(\hat{x})\Vert _{2}^{2}
    >>> print(latex("(a_i)^(1/p) ≥ 0"))
    (a_{i})^{1/p} \ge  0
    >>> latex("metrics.jsonl") is None
    True
    """
    is_formula = not _MARKS.isdisjoint(text) or re.search(r"\w_\w\b.*=|\^", text)
    if not (is_formula or _GREEK.fullmatch(text)) or _SHAPE.fullmatch(text):
        return None
    if '"' in text or re.search(r"\w\(\w+=|[\w]\.[A-Za-z]\w|--", text):
        return None
    try:
        return _Reader(text).all()
    except _UnknownError:
        return None


class _UnknownError(Exception):
    """A sign that has no LaTeX."""


class _Reader:
    """Reads a formula from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def all(self) -> str:
        out: list[str] = []
        while self.at < len(self.text):
            out.append(self.part())
        return "".join(out).strip()

    def part(self) -> str:
        sign = self.text[self.at]
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
            return rf"{number[1]}\cdot 10^{{{number[2].lstrip('+')}}}"
        if sign in "_^":
            self.at += 1
            return f"{sign}{{{self.script()}}}"
        if sign in _RAISED and sign != "½":
            return f"^{{{self.run(_RAISED)}}}"
        if sign in _LOWERED:
            return f"_{{{self.run(_LOWERED)}}}"
        if sign == "√":
            self.at += 1
            return rf"\sqrt{{{self.script()}}}"
        return self.letter(sign)

    def letter(self, sign: str) -> str:
        word = _WORD.match(self.text, self.at)
        if word:
            self.at = word.end()
            return self.accented(_word(word[0]))
        if sign not in _PLAIN and sign not in _SIGNS:
            raise _UnknownError(sign)
        if sign == " " and re.match(r"[A-Za-z)] [A-Za-z]{2}", self.text[self.at - 1 :]):
            sign = r"\ "  # between two words
        self.at += 1
        return _SIGNS.get(sign, sign)

    def accented(self, word: str) -> str:
        accent = _ACCENTS.get(self.text[self.at : self.at + 1])
        if accent is None:
            return word
        self.at += 1
        return f"{accent}{{{word}}}"

    def run(self, signs: dict[str, str]) -> str:
        start = self.at
        while self.text[self.at : self.at + 1] in signs and self.at < len(self.text):
            self.at += 1
        return "".join(signs[sign] for sign in self.text[start : self.at]).replace("½", "1/2")

    def script(self) -> str:
        """The part after ``_``, ``^`` or ``√``: a group in brackets, or one word or number."""
        if self.at >= len(self.text):
            raise _UnknownError("end")
        closing = {"(": ")", "{": "}"}.get(self.text[self.at])
        if closing:
            end = _matching(self.text, self.at)
            inner = _Reader(self.text[self.at + 1 : end]).all()
            self.at = end + 1
            return inner
        token = re.compile(r"[-−]?[A-Za-z0-9]+|[Α-Ωα-ω]|[⁺*½]").match(self.text, self.at)
        if not token:
            raise _UnknownError(self.text[self.at])
        self.at = token.end()
        return _Reader(token[0]).all()


def _word(word: str) -> str:
    if len(word) == 1 or (len(word) == 2 and word.lower() not in _NAMES):
        return word
    if word in _BUILT_IN:
        return rf"\{word} "
    if word in _FUNCTIONS:
        return rf"\operatorname{{{word}}}"
    return rf"\mathrm{{{word}}}".replace("_", r"\_")


def _matching(text: str, start: int) -> int:
    """Return the place of the bracket that closes the one at ``start``."""
    opening, depth = text[start], 0
    closing = {"(": ")", "{": "}"}[opening]
    for at in range(start, len(text)):
        depth += (text[at] == opening) - (text[at] == closing)
        if depth == 0:
            return at
    raise _UnknownError(opening)
