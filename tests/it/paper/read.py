"""Reads PDF files with pikepdf (the library of qpdf) and prints what is in each as one line of JSON.

It follows the tag tree from its root to the marked content of the pages, decodes the text by the fonts' own ToUnicode
maps, and counts what is drawn outside of any tag or artifact, or outside of the margins.
"""

import json
import re
import sys

import pikepdf
from pikepdf import Name

MARGIN_LEFT, MARGIN_RIGHT = 49.0, 546.0


def to_unicode(font):
    """Glyph to text, by the font's CMap."""
    data = font["/ToUnicode"].read_bytes().decode("latin-1")
    table = {}
    text = lambda hexed: bytes.fromhex(hexed).decode("utf-16-be")
    for block in re.findall(r"beginbfchar(.*?)endbfchar", data, re.S):
        for code, value in re.findall(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            table[int(code, 16)] = text(value)
    for block in re.findall(r"beginbfrange(.*?)endbfrange", data, re.S):
        for low, high, value in re.findall(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            for at in range(int(low, 16), int(high, 16) + 1):
                table[at] = text(value)[:-1] + chr(ord(text(value)[-1]) + at - int(low, 16))
    return table


def widths(font):
    """Glyph to width in thousandths."""
    table, listed = {}, list(font["/DescendantFonts"][0].get("/W", []))
    while listed:
        first, second = int(listed.pop(0)), listed.pop(0)
        if isinstance(second, pikepdf.Array):
            for at, width in enumerate(second):
                table[first + at] = float(width)
        else:
            width = float(listed.pop(0))
            for at in range(first, int(second) + 1):
                table[at] = width
    return table


def page_content(page):
    """The text and the properties of each marked content of a page, and what is wrong with what it draws."""
    fonts = {}
    for name, font in page.Resources.get("/Font", {}).items():
        fonts[name] = (to_unicode(font), widths(font))
    marked, open_marks = {}, []
    untagged = outside = 0
    font, size, at = None, 1.0, (0.0, 0.0)
    for operands, operator in pikepdf.parse_content_stream(page):
        operator = str(operator)
        if operator in ("BDC", "BMC"):
            properties = operands[1] if operator == "BDC" else {}
            if isinstance(properties, Name):
                properties = page.Resources["/Properties"][properties]
            mcid = int(properties["/MCID"]) if "/MCID" in properties else None
            open_marks.append((str(operands[0]), mcid))
            if mcid is not None:
                marked[mcid] = {"text": "", "lang": str(properties.get("/Lang", "")), "actual": properties.get("/ActualText")}
        elif operator == "EMC":
            open_marks.pop()
        elif operator == "Tf":
            font, size = fonts[str(operands[0])], float(operands[1])
        elif operator == "Tm":
            at = (float(operands[4]), float(operands[5]))
        elif operator in ("Tj", "TJ"):
            parts = operands[0] if operator == "TJ" else [operands[0]]
            said, width = "", 0.0
            for part in parts:
                if not isinstance(part, pikepdf.String):
                    width -= float(part) / 1000 * size
                    continue
                raw = bytes(part)
                for low in range(0, len(raw), 2):
                    glyph = raw[low] << 8 | raw[low + 1]
                    assert glyph != 0, "a glyph that the font lacks"
                    said += font[0][glyph]
                    width += font[1].get(glyph, 1000.0) / 1000 * size
            if not open_marks:
                untagged += 1
            else:
                for _, mcid in open_marks:
                    if mcid is not None:
                        marked[mcid]["text"] += said
            trailing = len(said) - len(said.rstrip(" "))
            end = at[0] + width - trailing * 0.26 * size
            if at[0] < MARGIN_LEFT or end > MARGIN_RIGHT + 0.5:
                outside += 1
            at = (at[0] + width, at[1])
        elif operator in ("f", "F", "f*", "S", "s", "B", "b", "Do") and not open_marks:
            untagged += 1
    return marked, untagged, outside


def walk(pdf, element, contents, depth, lines, words):
    """The tags below an element, one a line, with their text."""
    role = str(element.S)
    kids = element.get("/K", [])
    kids = list(kids) if isinstance(kids, pikepdf.Array) else [kids]
    said, langs = [], set()
    line = len(lines)
    lines.append("")
    for kid in kids:
        if isinstance(kid, int) or (isinstance(kid, pikepdf.Dictionary) and kid.get("/Type") == Name.MCR):
            mcid = kid if isinstance(kid, int) else int(kid.MCID)
            page = element.get("/Pg") if isinstance(kid, int) else kid.get("/Pg", element.get("/Pg"))
            one = contents[page.objgen][mcid]
            one["seen"] = one.get("seen", 0) + 1
            said.append(str(one["actual"]) if one["actual"] is not None else one["text"])
            words.append(said[-1])
            langs.add(one["lang"] or "vi")
        else:
            walk(pdf, kid, contents, depth + 1, lines, words)
            if not isinstance(kid, int):
                words.append("\n")
    attributes = element.get("/A", [])
    attributes = list(attributes) if isinstance(attributes, pikepdf.Array) else [attributes]
    scope = "".join(f" {one.Scope}" for one in attributes if "/Scope" in one)
    text = f" [{' '.join(sorted(langs))}] {''.join(said).strip()}" if said else ""
    lines[line] = "  " * depth + role[1:] + scope + text


def outline(node, depth, lines):
    while node is not None:
        lines.append("  " * depth + str(node.Title))
        if "/First" in node:
            outline(node.First, depth + 1, lines)
        node = node.get("/Next")


def read(path):
    with pikepdf.open(path) as pdf:
        root = pdf.Root
        contents, untagged, outside = {}, 0, 0
        for page in pdf.pages:
            marked, bad, out = page_content(page)
            contents[page.obj.objgen] = marked
            untagged += bad
            outside += out
        lines, words, marks = [], [], []
        top = root.StructTreeRoot.K
        for element in list(top) if isinstance(top, pikepdf.Array) else [top]:
            walk(pdf, element, contents, 0, lines, words)
        # Marked content that no tag speaks of, or two do, is as good as none.
        untagged += sum(one.get("seen", 0) != 1 for marked in contents.values() for one in marked.values())
        if "/Outlines" in root:
            outline(root.Outlines.First, 0, marks)
        with pdf.open_metadata(set_pikepdf_as_editor=False) as metadata:
            ua_part = metadata.get("pdfuaid:part")
            title = metadata.get("dc:title")
        return {
            "lang": str(root.Lang),
            "marked": bool(root.MarkInfo.Marked),
            "display_title": bool(root.ViewerPreferences.DisplayDocTitle),
            "title": title,
            "ua_part": ua_part,
            "tab_order": str(pdf.pages[0].obj.Tabs)[1:],
            "pages": len(pdf.pages),
            "untagged": untagged,
            "outside": outside,
            "tags": lines,
            "outline": marks,
            "text": "".join(words),
        }


for path in sys.argv[1:]:
    print(json.dumps(read(path), ensure_ascii=False))
