"""How texts become words: the same for predictions and references, and for every metric.

``normalize`` and then ``spaced`` prepare a text for the tokenizers of other libraries; ``words``
and ``compound_words`` are the tokenizers of this project.
"""

from __future__ import annotations

import re
import string
import unicodedata

import regex

# The part of signatures that stands for ``normalize``. It tells scores of composed texts from those
# of earlier versions, which compared texts code point by code point.
FORM = "text:nfc"

# Letters of scripts without spaces between words: scripts that need a dictionary for line breaks
# (class SA of UAX #14: Thai, Lao, Khmer, Burmese, …), Han, kana, Bopomofo and Tibetan.
_UNSPACED = (
    r"[[\p{LB=SA}\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}\p{Tibetan}]&&\p{L}]"
)
_UNSPACED_CHARACTER = regex.compile(rf"(?V1)(?={_UNSPACED})\X")
_JOINERS = r"\u200c\u200d"
_LETTERS = rf"[[\p{{L}}\p{{M}}\p{{N}}]--{_UNSPACED}]"
_WORD = regex.compile(
    rf"(?V1)(?={_UNSPACED})\X"
    # Joiners occur within words of Persian and of Indian scripts.
    rf"|{_LETTERS}[{_LETTERS}{_JOINERS}]*"
    r"|(?=[\p{S}--\p{ASCII}])\X"
)
_RUN = rf"[\p{{L}}\p{{N}}][\p{{L}}\p{{M}}\p{{N}}{_JOINERS}]*"
_COMPOUND = regex.compile(rf"{_RUN}(?:['’-]{_RUN})*")
# Signs at the end of a word belong to it, so that "c++" is not found in "vitamin c".
SIGNED_WORD = re.compile(r"[^\W_]+(?:[+#]+(?![^\W_]))?")


def normalize(text: str) -> str:
    """Lower-case a text and strip spaces and full stops at both ends, as the MILAN code does.

    Characters are composed (Unicode NFC), so that a letter with an accent is the same text whether
    it was written as one character or as two.

    >>> normalize(" Dog faces. ")
    'dog faces'
    >>> normalize("Cafe\\u0301") == normalize("Caf\\u00e9")
    True
    """
    if text.isascii():
        return text.lower().strip(string.whitespace + ".")
    # Composed first, so that equivalent texts are lower-cased in the same way, and once more after
    # that, because lower case can be decomposed.
    lower = unicodedata.normalize("NFC", text).lower()
    return unicodedata.normalize("NFC", lower).strip(string.whitespace + ".")


def spaced(text: str) -> str:
    """Put spaces around each character of scripts without spaces between words.

    Tokenizers that split at spaces would treat a sentence in such a script as one word. A character
    includes its vowel signs and tone marks. ASCII text is returned unchanged.

    >>> spaced("红色的狗").split()
    ['红', '色', '的', '狗']
    >>> spaced("a dog")
    'a dog'
    """
    return text if text.isascii() else _UNSPACED_CHARACTER.sub(r" \g<0> ", text)


def words(text: str) -> list[str]:
    """Return the words of a text in any script, in lower case: runs of letters, marks and digits.

    Each character of a script without spaces is a word, and each symbol outside ASCII, such as an
    emoji.

    >>> words("A red-haired dog, naïve!"), words("红狗 🐕")
    (['a', 'red', 'haired', 'dog', 'naïve'], ['红', '狗', '🐕'])
    """
    return _WORD.findall(text.lower())


def compound_words(text: str) -> list[str]:
    """Return the words of a normalized text: runs of letters and digits.

    Unlike in ``words``, an apostrophe or a hyphen between two runs joins them into one word,
    characters of scripts without spaces are not separated, and symbols are no words.

    >>> compound_words("A dog's black-and-white fur, close-up!")
    ['a', "dog's", 'black-and-white', 'fur', 'close-up']
    """
    return _COMPOUND.findall(normalize(text))
