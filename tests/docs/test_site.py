"""The documentation is built without a warning, its links lead somewhere, no name is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import natsev
from natsev import jetstream, kv, micro, objectstore, otel
from tests.conftest import missing

ROOT = Path(__file__).parent.parent.parent


class Page(HTMLParser):
    """The ids of a page, and the links to places in the same site."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == 'id' and value:
                self.ids.add(value)
            elif name in ('href', 'src') and value and not value.startswith(('http', 'data:')):
                self.links.append(value)


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec('sphinx') is None:
        missing('sphinx')
    directory = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-E']
    done = subprocess.run(
        [*command, '-d', f'{directory}/doctrees', str(ROOT / 'docs'), f'{directory}/html'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, '')
    return directory / 'html'


def test_every_link_within_the_site_leads_somewhere(site):
    pages = {path.resolve(): Page(path) for path in site.rglob('*.html')}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target = urlsplit(link)
            found = (path.parent / unquote(target.path)).resolve() if target.path else path
            ids = pages[found].ids if found in pages else set()
            # From source back to its description Sphinx finds the page, not always the place.
            exactly = target.fragment and '_modules' not in path.parts
            if not found.exists() or (exactly and unquote(target.fragment) not in ids):
                broken.append(f'{path.name}: {link}')
    assert len(pages) > 10
    assert not broken


def short(name: str) -> str:
    return name.rpartition('.')[2]


def test_every_public_name_is_in_the_reference(site):
    ids = {name for path in site.rglob('reference/*.html') for name in Page(path).ids}
    absent = [name for name in natsev.__all__ if name != 'ev' and f'natsev.{name}' not in ids]
    for module in (jetstream, kv, objectstore, otel):
        public = [f'{module.__name__}.{name}' for name in module.__all__]
        # What the package itself has is there under the shorter name.
        absent += [name for name in public if name not in ids and short(name) not in natsev.__all__]
    absent += [name for name in natsev.ev.__all__ if f'natsev.ev.{name}' not in ids]
    assert not absent


@pytest.mark.parametrize('owner', [natsev.Nats, natsev.JetStream, natsev.KV, natsev.ObjectStore])
def test_every_method_is_in_the_reference(site, owner):
    """But for those that the page leaves out: they are for natsev's own use."""
    page = f'reference/{owner.__name__.lower()}'
    ids = Page(site / f'{page}.html').ids
    text = (ROOT / 'docs' / f'{page}.md').read_text()
    internal = ', '.join(re.findall(r':exclude-members: (.*)', text)).split(', ')
    public = [name for name in dir(owner) if name[0] != '_' and name not in internal]
    assert len(public) > 15
    assert not [name for name in public if f'natsev.{owner.__name__}.{name}' not in ids]


def test_every_error_is_in_the_catalogue():
    catalogue = (ROOT / 'docs' / 'errors.md').read_text()
    errors = [name for name in dir(natsev.errors) if name[0].isupper() and name != 'Any']
    assert not [name for name in errors if f'`{name}`' not in catalogue]


CALLED = re.compile(
    r'\b(nats|js|kv|store|publisher|message|service|request|Nats|KV|ObjectStore)\.(\w+)'
)
OWNERS = {
    'nats': natsev.Nats,
    'Nats': natsev.Nats,
    'js': natsev.JetStream,
    'kv': natsev.KV,
    'KV': natsev.KV,
    'store': natsev.ObjectStore,
    'ObjectStore': natsev.ObjectStore,
    'publisher': jetstream.Publisher,
    'message': jetstream.Message,
    'service': micro.Service,
    'request': micro.Request,
}


@pytest.mark.parametrize('page', ['from-ev-nats.md', 'from-nats-py.md'])
def test_the_pages_on_moving_name_what_there_is(page):
    rows = [line.split('|') for line in (ROOT / 'docs' / page).read_text().splitlines()]
    ours = ' '.join(row[2] for row in rows if len(row) > 3)
    called = set(CALLED.findall(ours))
    assert not [f'{owner}.{name}' for owner, name in called if not hasattr(OWNERS[owner], name)]
    if page == 'from-nats-py.md':
        assert len(called) > 50


SECTIONS = {
    'EV::Nats': natsev.Nats,
    'EV::Nats::JetStream': natsev.JetStream,
    'EV::Nats::KV': natsev.KV,
    'EV::Nats::ObjectStore': natsev.ObjectStore,
}


@pytest.mark.parametrize('perl', SECTIONS)
def test_each_method_of_the_perl_original_is_one_of_ours(perl):
    text = (ROOT / 'docs' / 'from-ev-nats.md').read_text()
    section = text.partition(f'## {perl}, method by method\n')[2].partition('\n## ')[0]
    rows = [line.split('|') for line in section.splitlines() if line.startswith('| `')]
    perls = {name for row in rows for name in re.findall(r'`(\w+)[(`]', row[1])}
    absent = [name for name in perls if not hasattr(SECTIONS[perl], name)]
    assert len(perls) > 7
    assert not [name for name in absent if name not in ('no_responders', 'pass')]
