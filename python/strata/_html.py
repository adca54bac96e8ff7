"""Pages and tables inside a notebook."""
import html
from collections.abc import Mapping, Sequence

HEIGHT = 640  # of a report, in pixels


def frame(page: str) -> str:
    """A whole page in a frame of its own, so that neither its styles nor its script meet the notebook's."""
    style = f"width:100%;height:{HEIGHT}px;border:0"
    return f'<iframe srcdoc="{html.escape(page)}" style="{style}" title="strata report"></iframe>'


def table(records: Sequence[Mapping[str, object]], columns: Sequence[str], caption: str) -> str:
    """A row for each record."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(_text(record.get(column)))}</td>" for column in columns) + "</tr>"
                   for record in records)
    return f"<table><caption>{html.escape(caption)}</caption><tr>{head}</tr>{rows}</table>"


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
