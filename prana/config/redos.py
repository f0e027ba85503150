"""Regular expressions that take too long on some text, found by their form before any text is there.

`re` tries one way after another and cannot be interrupted, and a pattern of a route is tried on the event loop, on
what callers send. A repetition is loose when it can take the character that what follows it begins with: then there
are many ways. A second repetition behind a loose one makes the time grow with the square of the length, which the
length of a path bounds; each further loose one adds a power, and those inside a repetition are exponential. Possessive
quantifiers and atomic groups (Python 3.11) try one way only.
"""

from collections.abc import Sequence

# Not a public interface, but the same since Python 1.6, and nothing else reads a pattern as `re` does.
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

_MAX_POWER: Final = 2
_FEW_TIMES: Final = 4
_END: Final = -1  # of the pattern
_AT_END: Final = frozenset({_END})
_ONE_CHARACTER: Final = ("LITERAL", "NOT_LITERAL", "ANY", "IN")

_Items = Sequence[tuple[Any, Any]]  # operations, whose texts are their names, and their operands
_Firsts = frozenset[int] | None  # the characters that may come next, in lower case; None for any


def trap(pattern: str) -> str | None:
    """What is wrong with a pattern that compiles, and what to write instead; None when nothing is."""
    walk = _Walk()
    walk.sequence(_parser.parse(pattern.encode()), _AT_END, 1)
    if walk.exponential:
        return (
            "repeats what can be divided in many ways, and would take for ever on some paths; let the repeated part "
            'begin with a character that it has nowhere else, as in "(/[^/]+)*", or the quantifier be possessive, as '
            'in "(a+)*+"'
        )
    if walk.loose + walk.run_behind > _MAX_POWER:
        return (
            "has too many repetitions that can take what follows them, too, and would take long on some paths; let "
            'them end where the next part begins, as in "/[^/]+/" for "/.*/", or be possessive, as in "[a-z]++"'
        )
    return None


class _Walk:
    """Through the tree of a pattern. `follow` is what may come after a part; `times` is how often it may be passed."""

    def __init__(self) -> None:
        self.loose = 0
        self.run_behind = False  # another repetition, after all loose ones
        self.exponential = False

    def sequence(self, items: _Items, follow: _Firsts, times: int) -> None:
        for index, (operation, operand) in enumerate(items):
            self.item(str(operation), operand, _firsts(items[index + 1 :], follow), times)

    def item(self, operation: str, operand: Any, follow: _Firsts, times: int) -> None:
        match operation:
            case "MAX_REPEAT" | "MIN_REPEAT":
                self.repeat(operand, follow, times)
            case "POSSESSIVE_REPEAT":
                self.run_behind = True
                self.sequence(operand[2], _firsts(operand[2], None), 1)
            case "ATOMIC_GROUP":
                self.sequence(operand, None, 1)
            case "SUBPATTERN":
                self.sequence(operand[-1], follow, times)
            case "ASSERT" | "ASSERT_NOT":
                self.sequence(operand[1], None, times)
            case "BRANCH":
                self.branch(operand[1], follow, times)

    def repeat(self, operand: tuple[int, int, _Items], follow: _Firsts, times: int) -> None:
        lowest, highest, body = operand
        if lowest != highest and not _ends_before(body, follow):
            self.exponential |= times > _FEW_TIMES
            if highest > _FEW_TIMES:
                self.loose += times
                self.run_behind = False
        elif str(body[0][0]) != "ANY" or follow != _AT_END:  # for what takes all that is left is tried once
            self.run_behind = True
        again = _firsts(body, follow)
        self.sequence(body, None if again is None or follow is None else again | follow, times * highest)

    def branch(self, alternatives: Sequence[_Items], follow: _Firsts, times: int) -> None:
        firsts = [_firsts(each, follow) for each in alternatives]
        if times > _FEW_TIMES and not _disjoint(firsts):
            self.exponential = True
        before, ends = (self.loose, self.run_behind), []
        for each in alternatives:
            self.loose, self.run_behind = before
            self.sequence(each, follow, times)
            ends.append((self.loose, self.run_behind))
        self.loose, self.run_behind = max(ends)


def _firsts(items: _Items, follow: _Firsts) -> _Firsts:
    """What a sequence may begin with, and where it can be empty, what follows it."""
    if not items:
        return follow
    operation, operand = items[0]
    if str(operation) in _ONE_CHARACTER:
        return frozenset({ord(chr(operand).lower())}) if str(operation) == "LITERAL" else None
    after = _firsts(items[1:], follow)
    match str(operation):
        case "AT":
            return after
        case "SUBPATTERN":
            return _firsts(operand[-1], after)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            inside = _firsts(operand[2], after)
            return inside if operand[0] > 0 else _any_of([inside, after])
        case "BRANCH":
            return _any_of([_firsts(each, after) for each in operand[1]])
    return None


def _any_of(firsts: Sequence[_Firsts]) -> _Firsts:
    known = [each for each in firsts if each is not None]
    return frozenset().union(*known) if len(known) == len(firsts) else None


def _disjoint(firsts: Sequence[_Firsts]) -> bool:
    together = _any_of(firsts)
    return together is not None and len(together) == sum(len(each or ()) for each in firsts)


def _ends_before(body: _Items, follow: _Firsts) -> bool:
    """Whether a repetition must end where the next part begins."""
    if follow is None:
        return False
    if len(body) == 1 and str(body[0][0]) in _ONE_CHARACTER:
        characters = {each for lower in follow - _AT_END for each in (lower, ord(chr(lower).upper()))}
        return not any(_takes(body[0], character) for character in characters)
    return _disjoint([_firsts(body, None), follow])


def _takes(item: tuple[Any, Any], character: int) -> bool:
    operation, operand = item
    match str(operation):
        case "LITERAL":
            return bool(operand == character)
        case "NOT_LITERAL":
            return bool(operand != character)
        case "RANGE":
            return bool(operand[0] <= character <= operand[1])
        case "CATEGORY":
            name = str(operand).removeprefix("CATEGORY_")
            return _is(chr(character), name.removeprefix("NOT_")) != name.startswith("NOT_")
        case "IN":
            negated = str(operand[0][0]) == "NEGATE"
            return any(_takes(each, character) for each in operand[negated:]) != negated
    return True


def _is(character: str, category: str) -> bool:
    match category:
        case "DIGIT":
            return character.isdigit()
        case "SPACE":
            return character.isspace()
    return character.isalnum() or character == "_"
