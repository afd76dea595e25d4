/* PubAcks in their common shape, without a JSON parser. shared.py has the same as a pattern. */

#include "_speedups.h"

#define MOST_DIGITS 18

typedef struct {
    const char *at, *end;
} Cursor;

static void
skip_spaces(Cursor *cursor)
{
    while (cursor->at < cursor->end && *cursor->at == ' ') {
        cursor->at++;
    }
}

/* Take *text*, and the spaces after it, if that is what comes. */
static int
take(Cursor *cursor, const char *text)
{
    size_t size = strlen(text);
    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, text, size) != 0) {
        return 0;
    }
    cursor->at += size;
    skip_spaces(cursor);
    return 1;
}

static int
take_key(Cursor *cursor, const char *key)
{
    return take(cursor, key) && take(cursor, ":");
}

/* Text that needs no unescaping, and its closing quote. */
static int
take_text(Cursor *cursor, Text *text)
{
    const char *begin = cursor->at;
    for (const char *at = begin; at < cursor->end; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"') {
            *text = (Text){begin, at - begin};
            cursor->at = at;
            return take(cursor, "\"");
        }
        if (c < 0x20 || c >= 0x80 || c == '\\') {
            return 0;
        }
    }
    return 0;
}

static int
take_number(Cursor *cursor, unsigned long long *number)
{
    const char *begin = cursor->at;
    *number = 0;
    while (cursor->at < cursor->end && Py_ISDIGIT(*cursor->at)) {
        if (cursor->at - begin == MOST_DIGITS) {
            return 0;
        }
        *number = 10 * *number + (unsigned long long)(*cursor->at++ - '0');
    }
    Py_ssize_t digits = cursor->at - begin;
    skip_spaces(cursor);
    return digits == 1 || (digits > 1 && *begin != '0');
}

int
read_puback(Text text, PubAck *ack)
{
    Cursor cursor = {text.data, text.data + text.size};
    ack->duplicate = 0;
    skip_spaces(&cursor);
    /* The quote before the name of the stream is not followed by spaces that do not count. */
    if (!take(&cursor, "{") || !take_key(&cursor, "\"stream\"") || cursor.at == cursor.end ||
        *cursor.at++ != '"' || !take_text(&cursor, &ack->stream) || !take(&cursor, ",") ||
        !take_key(&cursor, "\"seq\"") || !take_number(&cursor, &ack->sequence)) {
        return 0;
    }
    if (take(&cursor, ",")) {
        if (!take_key(&cursor, "\"duplicate\"")) {
            return 0;
        }
        ack->duplicate = take(&cursor, "true");
        if (!ack->duplicate && !take(&cursor, "false")) {
            return 0;
        }
    }
    return take(&cursor, "}") && cursor.at == cursor.end;
}

PyObject *
parse_puback(PyObject *Py_UNUSED(module), PyObject *data)
{
    if (!PyBytes_Check(data)) {
        return PyErr_Format(PyExc_TypeError, "a PubAck must be bytes, not %s", Py_TYPE(data)->tp_name);
    }
    PubAck ack;
    if (!read_puback((Text){PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)}, &ack)) {
        Py_RETURN_NONE;
    }
    PyObject *name = PyUnicode_FromStringAndSize(ack.stream.data, ack.stream.size);
    return name ? Py_BuildValue("NKO", name, ack.sequence, ack.duplicate ? Py_True : Py_False) : NULL;
}
