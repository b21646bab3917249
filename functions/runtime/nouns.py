"""Numbers with their nouns."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 image", "1,204 images" or "2 repositories"."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return the plural of a regular noun, such as "repositories", "days" or "images"."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun.removesuffix('y')}ies"
    return f"{noun}s"
