r"""Commands and arguments, split as in a POSIX shell.

    words           = [blanks] word {blanks word} [blanks]
    blanks          = /[ \t\r\n]+/
    word            = part {part}
    part            = any character but a blank, ', " and \
                    | "\" any character
                    | "'" {any character but '} "'"
                    | '"' {any character but " and \ | "\" any character} '"'

Source: Python's `shlex.split`, which treats comments, variables and operators as ordinary characters.
"""

import re
import shlex
from typing import Final, Self

from algoplatform.domain.errors import Malformed
from algoplatform.domain.grammar.items import EMPTY, Text, malformed

# Validating with a regular expression is about 20 times faster than calling shlex.
_WORDS_RE = re.compile(r"""(?:[^'"\\]++|\\[\s\S]|'[^']*+'|"(?:[^"\\]++|\\[\s\S])*")*""")
_BLANKS: Final = " \t\r\n"
_FAULTS: Final = {"'": "的单引号没有闭合", '"': "的双引号没有闭合", "\\": "的反斜杠之后没有字符"}


class ShellWords(Text):
    """A command line: `python main.py --name 'two words'`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Validate that the text splits into words; raises Malformed."""
        if not text.strip(_BLANKS):
            raise Malformed(EMPTY)
        match = _WORDS_RE.match(text)
        end = match.end() if match else 0
        if end == len(text):
            return cls(text)
        raise malformed(text, [f"第{end + 1}个字符{_FAULTS[text[end]]}"])

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(shlex.split(self.text))
