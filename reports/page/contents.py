"""What a page's side list names: the sections that the page shows, in their order."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a pair's page, by its id in the document."""

    anchor: str
    title: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Filled by the template while it writes the sections, so that the list names those that are there, and no others."""

    sections: dict[str, list[Section]] = field(default_factory=dict)

    def add(self, pair: str, name: str, title: str) -> str:
        """Note a section of the pair with this anchor, and give the section's id.

        Raises:
            ValueError: the pair has such a section already, and a link could lead to one of them only.
        """
        section = Section(f"{pair}-{name}", title.removesuffix("."))
        known = self.sections.setdefault(pair, [])
        if any(one.anchor == section.anchor for one in known):
            raise ValueError(f"two sections are called {section.anchor}")
        known.append(section)
        return section.anchor

    def of(self, pair: str) -> list[Section]:
        """The sections of a pair."""
        return self.sections.get(pair, [])
