"""Who may import whom. This table is the architecture; docs/design.md draws it.

A unit is a module, or a package with all that is in it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import natsev

PACKAGE = Path(natsev.__file__).parent

LEAVES = '_version callbacks errors headers native nuid subjects'
MAY_IMPORT = {
    '_version': '',
    'callbacks': '',
    'errors': '',
    'headers': 'errors',
    'native': '',
    'nuid': '',
    'subjects': 'errors',
    # the loop and the wire, which know nothing of each other
    'ev': 'native',
    'loop': 'ev native',
    'wire': 'callbacks errors headers nuid subjects',
    # one connection
    'credentials': 'errors',
    'address': 'credentials errors',
    'jobs': 'loop native',
    'resolver': 'jobs loop native',
    'streams': 'loop',
    'tls': 'streams',
    'websocket': 'errors streams',
    'options': 'address callbacks credentials errors subjects tls websocket',
    'pool': 'address',
    'dialer': 'address jobs loop native resolver',
    'opening': 'address errors jobs loop options streams tls websocket',
    'tracing': 'streams',
    'transport': 'loop streams',
    'auth': 'address credentials errors options',
    'connection': LEAVES
    + ' address auth dialer loop opening options streams tls tracing'
    + ' transport wire',
    # the client
    'calls': 'errors loop wire',
    'timeouts': 'loop wire',
    'link': 'connection errors loop options pool wire',
    'threads': 'native',
    'gathering': 'callbacks calls errors headers loop wire',
    'old_requests': 'calls errors headers loop wire',
    'pausing': 'callbacks calls errors wire',
    'settings': 'callbacks credentials errors loop options',
    'codec': 'errors',
    'coded': 'callbacks calls codec errors headers',
    'nats': LEAVES
    + ' address calls codec coded gathering link loop old_requests options pausing settings'
    + ' threads timeouts wire',
    # on top of it
    'jetstream': LEAVES + ' calls codec coded loop nats timeouts wire',
    'otel': LEAVES + ' calls',
    'micro': LEAVES + ' calls nats settings',
    'kv': LEAVES + ' calls codec jetstream nats wire',
    'objectstore': LEAVES + ' calls jetstream jobs loop nats wire',
    'gevent': LEAVES + ' ev loop',
    'server': 'errors',
}
MAY_IMPORT['__init__'] = ' '.join(MAY_IMPORT)
MAY_IMPORT['cli'] = LEAVES + ' __init__ ev objectstore server'
MAY_IMPORT['__main__'] = 'cli'
# Only where its package is installed.
OPTIONAL = {'natsev.ev._pyev': 'pyev'}

FILES = sorted(PACKAGE.rglob('*.py'))


def module_of(path: Path) -> str:
    parts = ['natsev', *path.relative_to(PACKAGE).with_suffix('').parts]
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {module_of(path): path for path in FILES}


def unit_of(module: str) -> str:
    return module.split('.')[1] if '.' in module else '__init__'


def imports(path: Path, types: bool) -> Iterator[str]:
    """The natsev modules that *path* imports; with those for type checkers only where *types*."""
    package = ['natsev', *path.relative_to(PACKAGE).parent.parts]
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    for node in nodes:
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test) and not types:
            nodes.extend(node.orelse)
            continue
        nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *([node.module] if node.module else [])]
            named = ['.'.join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for name in named:
            if name.partition('.')[0] == 'natsev':
                # `from .errors import NatsError` is the module, `from . import ev` its member.
                yield name if name in MODULES else name.rpartition('.')[0]


@pytest.mark.parametrize('module', MODULES)
def test_layers(module):
    unit = unit_of(module)
    assert unit in MAY_IMPORT, f'{unit} has no place in the table'
    imported = {unit_of(name) for name in imports(MODULES[module], types=True)}
    assert imported - {unit} <= set(MAY_IMPORT[unit].split())


def test_the_table_has_no_cycle():
    known: set[str] = set()
    waiting = dict(MAY_IMPORT)
    while waiting:
        ready = {unit for unit, may in waiting.items() if set(may.split()) - {unit} <= known}
        assert ready, f'a cycle among {sorted(waiting)}'
        known |= ready
        waiting = {unit: may for unit, may in waiting.items() if unit not in ready}


def test_no_cycle_of_modules():
    graph = {
        module: MODULES.keys() & set(imports(path, types=False)) for module, path in MODULES.items()
    }
    known: set[str] = set()
    while waiting := graph.keys() - known:
        ready = {module for module in waiting if graph[module] - {module} <= known}
        assert ready, f'a cycle among {sorted(waiting)}'
        known |= ready


@pytest.mark.parametrize('module', MODULES)
def test_imports_alone(module):
    if module in OPTIONAL:
        pytest.importorskip(OPTIONAL[module])
    import_module(module)


def test_every_package_is_one():
    # One without __init__.py would be left out of the wheel.
    for path in FILES:
        assert (path.parent / '__init__.py').exists(), path.parent


def test_a_package_imports_relatively():
    for path in FILES:
        absolute = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if (isinstance(node, ast.ImportFrom) and not node.level and node.module == 'natsev')
            or (isinstance(node, ast.Import) and node.names[0].name.split('.')[0] == 'natsev')
        ]
        assert not absolute, path
