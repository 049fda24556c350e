"""What is drawn on a page of a PDF, in its order: every glyph and every painted area, in points of the page.

An interpreter of the operators that a print of a page has, and of no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ....errors import UsageError
from .fonts import Font
from .shapes import UNIT, Clip, Glyph, Ink, Matrix, Paint, Point, luminance, moved, times

MOST_NESTED = 8
MOST_OPERATORS = 500_000
"""Of a page, its forms counted as often as they are drawn: a print of two thousand marks has some ten thousand."""
MOST_WIDE = 4.0
"""Points of a line, and by how many times its width its corners may reach beyond it; a print has 1.6 and 4."""
_CURVE = (0.25, 0.5, 0.75, 1.0)
_SAID = {"/MCID", "/Type", "/Subtype", "/Attached", "/BBox"}
_GS = {"/ca", "/CA", "/Type"}


@dataclass(frozen=True, slots=True)
class _State:
    """What q saves and Q brings back."""

    matrix: Matrix = UNIT
    fill: float = 0.0
    stroke: float = 0.0
    fill_alpha: float = 1.0
    stroke_alpha: float = 1.0
    width: float = 1.0
    clips: tuple[Clip, ...] = ()
    font: Font | None = None
    size: float = 0.0
    mode: int = 0


def ink_of(page: Any, reader: Any, fonts: Mapping[int, Font]) -> Ink:
    """Follow the drawing of a page.

    Raises:
        UsageError: it holds an operator that no print of a page has, or draws text with something else than an embedded font.
    """
    pen = _Pen(reader, fonts)
    pen.run(page["/Contents"].get_object(), page["/Resources"], 0)
    return pen.ink


def operations_of(stream: Any, reader: Any) -> Sequence[tuple[Any, bytes]]:
    """The operators of a stream with their operands; strings stay the bytes that they are, since they number glyphs."""
    from pypdf.generic import ContentStream

    operations: Sequence[tuple[Any, bytes]] = ContentStream(stream, reader, "bytes").operations
    return operations


class _Pen:
    """The graphics state, the current path and the current text line."""

    def __init__(self, reader: Any, fonts: Mapping[int, Font]) -> None:
        self.ink = Ink()
        self._reader, self._fonts = reader, fonts
        self._state = _State()
        self._saved: list[_State] = []
        self._path: list[list[Point]] = []
        self._clip = False
        self._line: Matrix = UNIT
        self._resources: Any = {}
        self._nested = self._drawn = 0
        self._does: dict[bytes, Callable[..., None]] = {
            b"q": self._save,
            b"Q": self._restore,
            b"cm": self._concat,
            b"gs": self._look,
            b"w": self._thick,
            b"rg": self._fill_colour,
            b"g": self._fill_colour,
            b"RG": self._stroke_colour,
            b"G": self._stroke_colour,
            b"m": self._move,
            b"l": self._to,
            b"c": self._curve,
            b"re": self._box,
            b"h": self._close,
            b"f": self._fill,
            b"f*": self._fill,
            b"S": self._draw,
            b"B": self._both,
            b"n": self._end,
            b"W": self._cut,
            b"W*": self._cut,
            b"BT": self._begin,
            b"ET": self._nothing,
            b"Tm": self._place,
            b"Tf": self._choose,
            b"Tr": self._mode,
            b"TJ": self._show,
            b"Tj": self._show,
            b"Do": self._form,
            b"BDC": self._mark,
            b"BMC": self._nothing,
            b"EMC": self._nothing,
            b"M": self._corner,
            **dict.fromkeys((b"d", b"J", b"j"), self._nothing),
        }

    def run(self, stream: Any, resources: Any, nested: int) -> None:
        outside, self._resources, self._nested = (self._resources, self._nested), resources, nested
        for operands, operator in operations_of(stream, self._reader):
            self._drawn += 1
            if self._drawn > MOST_OPERATORS:
                raise UsageError(f"it draws with more than {MOST_OPERATORS} operators")
            if operator not in self._does:
                raise UsageError(f"it draws with {operator.decode('latin-1')[:20]!r}, which no print of a page does")
            self._does[operator](*operands)
        self._resources, self._nested = outside

    def _nothing(self, *_: Any) -> None:
        """It changes nothing of what is looked at: ends of lines, dashes, marks for reading aloud."""

    def _mark(self, tag: Any, said: Any) -> None:
        """A part of the document's tree; a layer, or a text in place of what is drawn, would be another."""
        if tag == "/OC" or not isinstance(said, dict) or set(said) - _SAID:
            raise UsageError(
                f"it marks a part as {str(tag)[:20]!r} with more than its number, which no print of a page does"
            )

    def _save(self) -> None:
        self._saved.append(self._state)

    def _restore(self) -> None:
        if not self._saved:
            raise UsageError("it restores what it did not save, which no print of a page does")
        self._state = self._saved.pop()

    def _concat(self, *matrix: Any) -> None:
        self._state = replace(self._state, matrix=times(_matrix(matrix), self._state.matrix))

    def _look(self, name: Any) -> None:
        told = self._resources["/ExtGState"][name].get_object()
        if set(told) - _GS:
            raise UsageError(f"it draws with {min(set(told) - _GS)}, which no print of a page does")
        fill, stroke = told.get("/ca", self._state.fill_alpha), told.get("/CA", self._state.stroke_alpha)
        self._state = replace(self._state, fill_alpha=float(fill), stroke_alpha=float(stroke))

    def _thick(self, width: Any) -> None:
        self._state = replace(self._state, width=float(width))

    def _corner(self, limit: Any) -> None:
        if float(limit) > MOST_WIDE:
            raise UsageError(f"its corners reach {float(limit):g} times as far as their lines, which no print's do")

    def _fill_colour(self, *colour: Any) -> None:
        self._state = replace(self._state, fill=luminance([float(one) for one in colour]))

    def _stroke_colour(self, *colour: Any) -> None:
        self._state = replace(self._state, stroke=luminance([float(one) for one in colour]))

    def _move(self, x: Any, y: Any) -> None:
        self._path.append([moved((float(x), float(y)), self._state.matrix)])

    def _to(self, x: Any, y: Any) -> None:
        self._path[-1].append(moved((float(x), float(y)), self._state.matrix))

    def _curve(self, *ends: Any) -> None:
        p0, numbers = self._path[-1][-1], [float(one) for one in ends]
        p1, p2, p3 = (moved((numbers[i], numbers[i + 1]), self._state.matrix) for i in (0, 2, 4))
        for t in _CURVE:
            u = 1 - t
            parts = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
            self._path[-1].append(
                (
                    sum(part * p[0] for part, p in zip(parts, (p0, p1, p2, p3), strict=True)),
                    sum(part * p[1] for part, p in zip(parts, (p0, p1, p2, p3), strict=True)),
                )
            )

    def _box(self, *box: Any) -> None:
        x, y, wide, high = (float(one) for one in box)
        corners = ((x, y), (x + wide, y), (x + wide, y + high), (x, y + high), (x, y))
        self._path.append([moved(corner, self._state.matrix) for corner in corners])

    def _close(self) -> None:
        self._path[-1].append(self._path[-1][0])

    def _cut(self) -> None:
        self._clip = True

    def _end(self) -> None:
        """The path is used up; where it cuts, nothing beyond it is drawn from now on: of an empty one, nothing at all."""
        if self._clip:
            clip = Clip(tuple(tuple(one) for one in self._path))
            self._state = replace(self._state, clips=(*self._state.clips, clip))
        self._path, self._clip = [], False

    def _paint(self, width: float, shade: float, alpha: float) -> None:
        outlines = tuple(tuple(one) for one in self._path)
        self.ink.paints.append(Paint(self._next(), outlines, width, shade, alpha))

    def _fill(self) -> None:
        self._paint(0.0, self._state.fill, self._state.fill_alpha)
        self._end()

    def _draw(self) -> None:
        a, b, c, d, _, _ = self._state.matrix
        scale = max((a * a + b * b) ** 0.5, (c * c + d * d) ** 0.5)
        if self._state.width * scale > MOST_WIDE:
            raise UsageError(f"it draws a line {self._state.width * scale:.0f} pt wide, which no print of a page does")
        self._paint(self._state.width * scale, self._state.stroke, self._state.stroke_alpha)
        self._end()

    def _both(self) -> None:
        self._paint(0.0, self._state.fill, self._state.fill_alpha)
        self._draw()

    def _next(self) -> int:
        return len(self.ink.glyphs) + len(self.ink.paints)

    def _begin(self) -> None:
        self._line = UNIT

    def _place(self, *matrix: Any) -> None:
        self._line = _matrix(matrix)

    def _choose(self, name: Any, size: Any) -> None:
        reference = self._resources["/Font"].raw_get(name)
        font = self._fonts.get(getattr(reference, "idnum", -1))
        if font is None:
            raise UsageError("it draws with a font that is not embedded, which no print of a page does")
        self._state = replace(self._state, font=font, size=float(size))

    def _mode(self, mode: Any) -> None:
        self._state = replace(self._state, mode=int(mode))

    def _show(self, parts: Any) -> None:
        state = self._state
        if state.font is None or state.mode != 0:
            raise UsageError("it holds text that is not drawn, which no print of a page does")
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, int | float):
                self._line = times((1.0, 0.0, 0.0, 1.0, -float(part) / 1000 * state.size, 0.0), self._line)
            else:
                for code in _codes(part):
                    self._glyph(code, state)

    def _glyph(self, code: int, state: _State) -> None:
        font, size = state.font, state.size
        assert font is not None
        matrix, wide = times(self._line, state.matrix), font.width(code) / 1000 * size
        self.ink.used.setdefault(font.number, set()).add(code)
        text = font.texts.get(code)
        if text is None:
            raise UsageError(f"it draws a glyph of {font.name} that says nothing, which no print of a page does")
        if text.strip():
            a, b, c, d, _, _ = matrix
            em = ((a * size, b * size), (c * size, d * size))
            at = moved((wide / 2, 0.3 * size), matrix)
            self.ink.glyphs.append(Glyph(self._next(), at, em, text, state.fill, state.fill_alpha, state.clips))
        self._line = times((1.0, 0.0, 0.0, 1.0, wide, 0.0), self._line)

    def _form(self, name: Any) -> None:
        form = self._resources["/XObject"][name].get_object()
        if form.get("/Subtype") != "/Form" or self._nested >= MOST_NESTED:
            raise UsageError("it holds pictures of pixels, or forms within forms, which no print of a page does")
        before, path, saved = self._state, self._path, self._saved
        self._path, self._saved = [], []
        self._concat(*form.get("/Matrix", UNIT))
        x, y, right, top = (float(one) for one in form["/BBox"])
        self._box(x, y, right - x, top - y)
        self._clip = True
        self._end()
        self.run(form, form.get("/Resources", self._resources), self._nested + 1)
        self._state, self._path, self._saved = before, path, saved


def _matrix(numbers: Sequence[Any]) -> Matrix:
    a, b, c, d, e, f = (float(one) for one in numbers)
    return a, b, c, d, e, f


def _codes(text: Any) -> Iterator[int]:
    """The two-byte codes of a string, which are glyphs of its font."""
    raw = text.original_bytes if hasattr(text, "original_bytes") else bytes(text)
    for at in range(0, len(raw) - 1, 2):
        yield raw[at] << 8 | raw[at + 1]
