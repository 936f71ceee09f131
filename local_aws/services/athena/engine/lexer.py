"""The words of a statement: where sqlglot does not parse it, and to find the `?` of a query."""

import re
from dataclasses import dataclass

from local_aws.services.athena.engine.errors import QueryError, at

_TOKEN = re.compile(
    r"""
    (?P<skip>\s+|--[^\n]*|/\*.*?\*/)
  | '(?P<string>(?:[^']|'')*)'
  | `(?P<back>(?:[^`]|``)*)`
  | "(?P<quoted>(?:[^"]|"")*)"
  | (?P<word>[A-Za-z_][A-Za-z0-9_@:-]*|[0-9][A-Za-z0-9_.-]*)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTES = {"string": "'", "back": "`", "quoted": '"'}


@dataclass(frozen=True)
class Token:
    """`kind`: string, back, quoted, word or sign. `text` is without quotes."""

    kind: str
    text: str
    start: int
    end: int


def tokens(sql: str) -> list[Token]:
    """All tokens but white space and comments."""
    found = []
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "skip"
        if kind != "skip":
            text = match[kind]
            if kind in _QUOTES:
                text = text.replace(_QUOTES[kind] * 2, _QUOTES[kind])
            found.append(Token(kind, text, match.start(), match.end()))
    return found


def place(sql: str, position: int) -> str:
    """`line 1:8: ` of a character."""
    before = sql[:position]
    return at(before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


class Words:
    """The tokens of a statement, read one after the other."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._tokens = tokens(sql)
        self._at = 0

    @property
    def done(self) -> bool:
        """Whether all is read."""
        return self._at >= len(self._tokens)

    def take(self, *words: str) -> bool:
        """Step over these words or signs if they come next."""
        ahead = self._tokens[self._at : self._at + len(words)]
        if [token.text.upper() for token in ahead if token.kind in ("word", "sign")] != [*words]:
            return False
        self._at += len(words)
        return True

    def need(self, *words: str) -> None:
        """Step over these words. Raises QueryError naming what is there instead."""
        for word in words:
            if not self.take(word):
                raise self.error(word)

    def next(self, expected: str) -> Token:
        """The next token. Raises QueryError at the end."""
        if self.done:
            raise self.error(expected)
        self._at += 1
        return self._tokens[self._at - 1]

    def name(self) -> tuple[str | None, str]:
        """`table` or `database.table`, in lower case."""
        first = self.next("a name").text.lower()
        if self.take("."):
            return first, self.next("a name").text.lower()
        return None, first

    def string(self) -> str:
        """A text in quotes."""
        token = self.next("a text in quotes")
        if token.kind != "string":
            self._at -= 1
            raise self.error("a text in quotes")
        return token.text

    def parenthesised(self) -> str:
        """What stands between a parenthesis that comes next and its partner."""
        self.need("(")
        start = self._tokens[self._at - 1].end
        depth = 1
        while depth:
            token = self.next(")")
            if token.kind == "sign":
                depth += {"(": 1, ")": -1}.get(token.text, 0)
        return self._sql[start : token.start]

    def rest(self) -> str:
        """The text from the next token on."""
        start = self.next("a statement").start
        self._at = len(self._tokens)
        return self._sql[start:].strip()

    def separated(self) -> list[str]:
        """The texts between the commas of what is left; commas inside parentheses do not count."""
        start, depth, found = self.next("a value").start, 0, []
        self._at -= 1
        for token in self._tokens[self._at :]:
            if token.kind == "sign":
                depth += {"(": 1, ")": -1}.get(token.text, 0)
                if token.text == "," and not depth:
                    found.append(self._sql[start : token.start].strip())
                    start = token.end
        self._at = len(self._tokens)
        return [*found, self._sql[start:].strip()]

    def end(self) -> None:
        """Nothing may follow."""
        if not self.done:
            raise self.error("<EOF>")

    def error(self, expected: str) -> QueryError:
        """The error that the next token is not what was expected."""
        if self.done:
            return QueryError("SYNTAX_ERROR", f"{expected} expected at the end of the statement")
        token = self._tokens[self._at]
        return QueryError(
            "SYNTAX_ERROR",
            f"{place(self._sql, token.start)}mismatched input '{token.text}'. Expecting: {expected}",
        )
