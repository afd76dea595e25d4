"""The documentation's build: Markdown through Sphinx, a warning is an error (`make docs`)."""

from __future__ import annotations

import builtins
import re

from sphinx.addnodes import pending_xref

import natsev

project = 'natsev'
author = 'the natsev authors'
copyright = author
version = release = natsev.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
]
exclude_patterns = ['examples', '_*']
source_suffix = {'.md': 'markdown'}
myst_enable_extensions = ['colon_fence', 'deflist']
# Every heading can be linked to, as on the places where these pages are read unbuilt.
myst_heading_anchors = 3
highlight_language = 'none'

autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_default_options = {'members': True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
# What is delivered to the callback, beside what is raised at the call.
napoleon_custom_sections = [('Errors', 'params_style')]

html_theme = 'furo'
html_title = f'natsev {release}'
html_static_path = ['_static']
html_css_files = ['natsev.css']
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    'light_css_variables': {
        'color-brand-primary': '#1f6f5c',
        'color-brand-content': '#1f6f5c',
    },
    'dark_css_variables': {
        'color-brand-primary': '#6fd0b6',
        'color-brand-content': '#6fd0b6',
    },
}


_ANY_CALLABLE = '~collections.abc.Callable[[...], ~typing.Any]'


def _programs_in_modules(app, what, name, obj, options, lines):
    """Show what a module's docstring indents, a program or a drawing, as it stands."""
    if what == 'module':
        for at in range(len(lines) - 1, 0, -1):
            if lines[at].startswith('    ') and not lines[at - 1].strip():
                lines[at:at] = ['::', '']


def _short_signatures(app, what, name, obj, options, signature, returns):
    """Say of a callback just that, for the text tells the rest; and of a default that is none."""

    def short(text):
        text = text.replace(_ANY_CALLABLE, '~collections.abc.Callable')
        return re.sub(r'<object object( at 0x\w+)?>', '...', text)

    return signature and short(signature), returns and short(returns)


def _builtins_are_no_fields(app, doctree):
    """Take ``bytes`` in a signature for the type, not for the field of a dict with that name."""
    for reference in list(doctree.findall(pending_xref)):
        if hasattr(builtins, reference['reftarget']):
            reference.replace_self(reference.children)


def setup(app):
    """Tell Sphinx about the above."""
    app.connect('autodoc-process-signature', _short_signatures)
    app.connect('autodoc-process-docstring', _programs_in_modules)
    app.connect('doctree-read', _builtins_are_no_fields)
