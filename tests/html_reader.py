"""A strict reader of HTML fragments for tests: what is not well-formed, or could load or run something, fails."""

from html.parser import HTMLParser

VOID = {"img", "br"}
KNOWN = {
    *("div", "span", "table", "thead", "tbody", "tr", "th", "td", "code", "b"),
    *("img", "svg", "rect", "text", "title"),
}


class Page(HTMLParser):
    """Tags, texts and pictures of a fragment."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.pictures: list[dict[str, str]] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, f"{self._open} left open"

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def handle_starttag(self, tag, attrs):
        assert tag in KNOWN, f"<{tag}> is not expected"
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "href"
            assert "url(" not in (value or "") or name in ("alt", "title")
            if name == "src":
                assert value.startswith("data:image/")
        if tag == "img":
            self.pictures.append(dict(attrs))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def unexpected(self, *_):
        raise AssertionError("comments, declarations and instructions are not expected")

    handle_comment = handle_decl = handle_pi = unknown_decl = unexpected
