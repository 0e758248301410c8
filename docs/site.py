"""Makes the site of all documents of the repository, not of docs/ alone.

Other documents than those in docs/ keep their paths, and files that documents link to
are included. README.md is for the repository: docs/index.md is the start page.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "python/README.md",
    "typescript/README.md",
    "discord/sandbox/README.md",
]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^()\s#]+)")
WHOLE_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:|#)([^()\s#]+)\)")


ICON = "dashboard/src/icon.svg"


def place(path):
    """Returns where a file of the repository is in the site."""
    if path == ICON:
        return "images/icon.svg"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path if path in DOCUMENTS else f"repository/{path}"


def source(place_in_site):
    """Returns which document of the repository a page of the site is."""
    return place_in_site if place_in_site in DOCUMENTS else f"docs/{place_in_site}"


def linked(path):
    """Returns the files that a document links to."""
    text = (ROOT / path).read_text()
    return {posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) for link in LINK.findall(text)}


def on_files(files, config):
    for path in DOCUMENTS:
        files.append(File.generated(config, place(path), abs_src_path=str(ROOT / path)))
    pages = [source(file.src_uri) for file in files.documentation_pages()]
    for path in sorted({ICON}.union(*map(linked, pages))):
        if files.get_file_from_path(place(path)) is None and (ROOT / path).is_file():
            files.append(File.generated(config, place(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown, page, config, files):
    path = source(page.file.src_uri)
    folder = posixpath.dirname(page.file.src_uri)

    def target(link):
        return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))

    def without_folder(link):
        # The site has no page that lists a folder.
        return link[1] if (ROOT / target(link[2])).is_dir() else link[0]

    def moved(link):
        return posixpath.relpath(place(target(link[1])), folder or ".")

    return LINK.sub(moved, WHOLE_LINK.sub(without_folder, markdown))
