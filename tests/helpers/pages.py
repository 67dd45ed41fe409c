"""Pages of reports, parsed."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects the sections, pictures, ids and references of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.references, self.titles, self.tags = [], [], [], []
        self.in_title = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.in_title = tag == "h2"
        for key, value in attributes:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "href", "xlink:href", "action", "data"):
                self.references.append(value)

    def handle_data(self, data):
        if self.in_title:
            self.titles.append(data.strip())
            self.in_title = False


def svgs(text: str) -> list[str]:
    return [
        part.partition("</svg>")[0] + "</svg>"
        for part in ("<svg" + p for p in text.split("<svg")[1:])
    ]
