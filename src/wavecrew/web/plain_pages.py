"""The pages beside that of a run: all runs, the way in, what cannot be shown, and what has not begun.

What it does: writes each as HTML; everything that is foreign goes through `words_of`.
What it does not know: requests, and who may see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

from wavecrew.views.result_text import size_words
from wavecrew.views.run_words import UNKNOWN, moment, seconds
from wavecrew.views.summary import RunStatus, Standing, Summary
from wavecrew.views.terminal_text import one_line
from wavecrew.web.signs import slug
from wavecrew.web.site import MOST_RUNS, Listed

HEAD: Final = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
    '<link rel="icon" href="/assets/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="/assets/page.css">'
)
_COLUMNS: Final = ("run", "state", "done", "started", "ended", "took", "logs", "plan")


def words_of(words: Any) -> str:
    """A foreign text for HTML, also inside of an attribute: one line without control characters."""
    return escape(one_line(str(words)), quote=True)


def runs_page(runs: Sequence[Listed]) -> str:
    """The list of all runs of a workspace, newest first, then those that were imported."""
    own, imported = [one for one in runs if not one.imported], [one for one in runs if one.imported]
    nothing = "<p>Nothing has been run here yet. Start with <code>wavecrew run</code>.</p>"
    body = f"<h1>Runs of this workspace</h1>{_table(own) if own else nothing}"
    if len(own) >= MOST_RUNS:
        body += f'<p class="soft">These are the latest {MOST_RUNS}; all: <code>wavecrew runs list</code></p>'
    if imported:
        body += (
            f"<h2>Imported runs</h2><p>They took place elsewhere: they can be looked at, and nothing can go on with "
            f"them here.</p>{_table(imported)}"
        )
    return _plain("Runs", body, wide=True)


def _table(runs: Sequence[Listed]) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(f"<tr>{''.join(_cells(one))}</tr>" for one in runs)
    return f'<div class="wide"><table class="runs"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(one: Listed) -> Iterator[str]:
    link = f'<th scope="row"><a href="/run/{words_of(one.run)}">{words_of(one.run)}</a></th>'
    found = one.summary
    if found is None:
        yield f'{link}<td colspan="{len(_COLUMNS) - 1}">it cannot be read: {words_of(one.trouble)}</td>'
        return
    yield link
    yield f'<td class="status-{slug(found.status.value)}"><b>{found.status.value}</b></td>'
    yield f'<td class="num">{found.done} of {found.total}{_but(found)}</td>'
    yield f'<td class="num">{moment(found.started)}</td><td class="num">{_ended(found)}</td>'
    yield f'<td class="num">{seconds(found.elapsed)}</td>'
    yield f'<td class="num">{size_words(one.size) if one.size is not None else UNKNOWN}</td>'
    source = f' <span class="soft">from {words_of(found.imported)}</span>' if found.imported else ""
    yield f"<td>{words_of(found.title)}{source}</td>"


def _but(summary: Summary) -> str:
    """What stands beside the finished phases."""
    failed = summary.counts[Standing.FAILED]
    return f", {failed} failed" if failed else ""


def _ended(summary: Summary) -> str:
    return moment(summary.ended) if summary.status is not RunStatus.RUNNING and summary.ended is not None else ""


def entry_page(why: str = "") -> str:
    """The way in: reads the key from the link, or asks for it."""
    told = f'<p class="alarm" role="alert">{words_of(why)}</p>' if why else ""
    body = (
        "<h1>wavecrew</h1><p>This page belongs to one user of this machine. "
        f"The link that <code>wavecrew web</code> prints opens it.</p>{told}"
        '<form method="post" action="/enter"><label for="token">Or paste the key from that link, or from the file '
        '<code>.wavecrew/web/token</code>:</label> <input id="token" name="token" type="password" autocomplete="off" '
        'required> <button type="submit">Open</button></form>'
    )
    return _plain("wavecrew", body, '<script type="module" src="/assets/entry.js"></script>')


def trouble_page(title: str, why: str, fix: str = "") -> str:
    """Something that cannot be shown, in clear words."""
    way_out = f"<p>{words_of(fix)}</p>" if fix else ""
    return _plain(
        title, f'<h1>{words_of(title)}</h1><p>{words_of(why)}</p>{way_out}<p><a href="/runs">All runs</a></p>'
    )


def waiting_page(run: str) -> str:
    """A run that is about to begin; the page looks again by itself."""
    again = '<meta http-equiv="refresh" content="1">'
    return _plain("wavecrew", f"<h1>Run {words_of(run)}</h1><p>It begins in a moment.</p>", again)


def _plain(title: str, body: str, more: str = "", *, wide: bool = False) -> str:
    kind = "plain all" if wide else "plain"
    return (
        f'{HEAD}<title>{words_of(title)}</title>{more}</head><body class="{kind}"><main>{body}</main></body></html>\n'
    )
