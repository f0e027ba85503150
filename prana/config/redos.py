"""Regular expressions that take too long on some text, found by their form before any text is there.

`re` tries one way after another and cannot be interrupted, and a pattern of a route is tried on the event loop, on
what callers send. A repetition is loose when it can take the character that what follows it begins with: then there
are many ways. With a second one they grow with the square of the length, which the length of a path bounds, and with
each further one by another power; those inside a repetition are exponential. Possessive quantifiers and atomic groups
(Python 3.11) try one way only.
"""

from collections.abc import Sequence

# Not a public interface, but the same since Python 1.6, and nothing else reads a pattern as `re` does.
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

_MAX_LOOSE: Final = 2
_FEW_TIMES: Final = 4
_END: Final = -1  # of the pattern, or of a part that is never tried again
_ONE_CHARACTER: Final = ("LITERAL", "NOT_LITERAL", "ANY", "IN")

_Items = Sequence[tuple[Any, Any]]  # operations, whose texts are their names, and their operands


def trap(pattern: str) -> str | None:
    """What is wrong with a pattern that compiles, and what to write instead; None when nothing is."""
    walk = _Walk()
    walk.sequence(_parser.parse(pattern.encode()), _END, 1)
    if walk.exponential:
        return (
            "repeats what can be divided in many ways, and would take for ever on some paths; let the repeated part "
            'begin with a character that it has nowhere else, as in "(/[^/]+)*", or the quantifier be possessive, as '
            'in "(a+)*+"'
        )
    if walk.loose > _MAX_LOOSE:
        return (
            f"has {walk.loose} repetitions that can take what follows them, too, and would take long on some paths; "
            f'allowed are {_MAX_LOOSE}; write "[^/]+" for ".*", or possessive quantifiers, as in "[a-z]++"'
        )
    return None


class _Walk:
    """Through the tree of a pattern. `follow` is the character that must come next, None when it is not known;
    `times` is how often the place may be passed."""

    def __init__(self) -> None:
        self.loose = 0
        self.exponential = False

    def sequence(self, items: _Items, follow: int | None, times: int) -> None:
        for index, (operation, operand) in enumerate(items):
            rest = items[index + 1 :]
            self.item(str(operation), operand, _first(rest) if rest else follow, times)

    def item(self, operation: str, operand: Any, follow: int | None, times: int) -> None:
        match operation:
            case "MAX_REPEAT" | "MIN_REPEAT":
                self.repeat(operand, follow, times)
            case "POSSESSIVE_REPEAT":
                self.sequence(operand[2], _first(operand[2]), 1)
            case "ATOMIC_GROUP":
                self.sequence(operand, _END, 1)
            case "SUBPATTERN":
                self.sequence(operand[-1], follow, times)
            case "ASSERT" | "ASSERT_NOT":
                self.sequence(operand[1], _END, times)
            case "BRANCH":
                self.branch(operand[1], follow, times)

    def repeat(self, operand: tuple[int, int, _Items], follow: int | None, times: int) -> None:
        lowest, highest, body = operand
        single = len(body) == 1 and str(body[0][0]) in _ONE_CHARACTER
        if lowest != highest and not (single and _ends_before(body[0], follow)):
            self.loose += highest > _FEW_TIMES
            self.exponential |= times > _FEW_TIMES
        if not single:
            self.sequence(body, _first(body), times * highest)

    def branch(self, alternatives: Sequence[_Items], follow: int | None, times: int) -> None:
        firsts = [_first(each) for each in alternatives]
        if times > _FEW_TIMES and (None in firsts or len(set(firsts)) < len(firsts)):
            self.exponential = True
        before, most = self.loose, 0
        for each in alternatives:
            self.loose = 0
            self.sequence(each, follow, times)
            most = max(most, self.loose)
        self.loose = before + most


def _first(items: _Items) -> int | None:
    """The one character that a sequence begins with, in lower case, if there is only one."""
    for operation, operand in items:
        match str(operation):
            case "LITERAL":
                return ord(chr(operand).lower())
            case "SUBPATTERN":
                return _first(operand[-1])
            case "AT":
                continue
        break
    return None


def _ends_before(item: tuple[Any, Any], follow: int | None) -> bool:
    """Whether a repetition of this one character must end where the next part begins."""
    if follow is None:
        return False
    if follow == _END:
        return str(item[0]) == "ANY"  # it takes all there is, or nothing would
    return not any(_takes(item, character) for character in {follow, ord(chr(follow).upper())})


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
