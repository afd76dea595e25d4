/* Headers to a block, in their common shape: a dict of ASCII text. headers.py has all other shapes, and
   the words for what is wrong. */

#include "_speedups.h"

static const Text VERSION = {"NATS/1.0\r\n", 10};

static int
is_name(PyObject *name)
{
    if (!PyUnicode_Check(name) || !PyUnicode_IS_COMPACT_ASCII(name) || !PyUnicode_GET_LENGTH(name)) {
        return 0;
    }
    const char *text = PyUnicode_DATA(name);
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(name); i++) {
        if (text[i] <= ' ' || text[i] == 0x7f || text[i] == ':') {
            return 0;
        }
    }
    return 1;
}

static int
is_value(PyObject *value)
{
    if (!PyUnicode_Check(value) || !PyUnicode_IS_COMPACT_ASCII(value)) {
        return 0;
    }
    const char *text = PyUnicode_DATA(value);
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(value); i++) {
        if (text[i] == '\r' || text[i] == '\n') {
            return 0;
        }
    }
    return 1;
}

static char *
put(char *to, const char *data, Py_ssize_t size)
{
    memcpy(to, data, (size_t)size);
    return to + size;
}

/* The block for *headers*; NULL where they have another shape, then without an exception. */
static PyObject *
plain_block(PyObject *headers)
{
    PyObject *name, *value;
    Py_ssize_t position = 0, size = VERSION.size + 2;
    while (PyDict_Next(headers, &position, &name, &value)) {
        if (!is_name(name) || !is_value(value)) {
            return NULL;
        }
        size += PyUnicode_GET_LENGTH(name) + PyUnicode_GET_LENGTH(value) + 4;
    }
    PyObject *block = PyBytes_FromStringAndSize(NULL, size);
    if (block == NULL) {
        return NULL;
    }
    char *to = put(PyBytes_AS_STRING(block), VERSION.data, VERSION.size);
    position = 0;
    while (PyDict_Next(headers, &position, &name, &value)) {
        to = put(to, PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name));
        to = put(to, ": ", 2);
        to = put(to, PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value));
        to = put(to, "\r\n", 2);
    }
    put(to, "\r\n", 2);
    return block;
}

PyObject *
encode_headers(State *state, PyObject *headers)
{
    if (PyDict_CheckExact(headers)) {
        PyObject *block = plain_block(headers);
        if (block != NULL || PyErr_Occurred()) {
            return block;
        }
    }
    return PyObject_CallOneArg(state->encode_headers, headers);
}
