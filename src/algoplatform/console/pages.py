"""The addresses of the pages."""

from typing import Final

from algoplatform.console import cluster, editing, history, images, transfers
from algoplatform.console.site import Page

_IMAGE: Final = "/images/{image_id}"

PAGES: Final[tuple[tuple[str, tuple[str, ...], Page], ...]] = (
    ("/images", ("GET",), images.show_list),
    ("/images/count", ("GET",), images.count),
    ("/images/changes", ("GET",), images.changes),
    ("/images/delete", ("POST",), images.delete_selected),
    ("/export", ("GET",), transfers.export),
    ("/import", ("GET",), transfers.show_import),
    ("/import", ("POST",), transfers.run_import),
    ("/images/new", ("GET", "POST"), editing.new),
    (_IMAGE, ("GET",), history.show_record),
    (f"{_IMAGE}/edit", ("GET", "POST"), editing.edit),
    (f"{_IMAGE}/history", ("GET",), history.show_history),
    (f"{_IMAGE}/graph", ("GET",), cluster.graph),
    (f"{_IMAGE}/manifests", ("GET",), cluster.manifests),
    (f"{_IMAGE}/manifests.yaml", ("GET",), cluster.download),
    ("/lint", ("GET",), cluster.lint),
    (f"{_IMAGE}/restore", ("POST",), history.restore),
    (f"{_IMAGE}/delete", ("GET", "POST"), history.delete),
)
