/* What the reply subject of a delivered message says. shared.py says the rules; here are only
   subjects without a domain, which most are. */

#include "_speedups.h"

#define MOST_DIGITS 19

/* The fields of a Delivery: domain, stream and consumer, then numbers. */
enum { TEXTS = 3, FIELDS = 8 };

/* Return the end of the token at *at*: a dot, or *end*. */
static const char *
token_end(const char *at, const char *end)
{
    const char *dot = memchr(at, '.', (size_t)(end - at));
    return dot ? dot : end;
}

static PyObject *
number_object(const char *at, const char *end)
{
    if (at == end || end - at > MOST_DIGITS) {
        return NULL;
    }
    unsigned long long number = 0;
    for (; at < end; at++) {
        if (!Py_ISDIGIT(*at)) {
            return NULL;
        }
        number = 10 * number + (unsigned long long)(*at - '0');
    }
    return PyLong_FromUnsignedLongLong(number);
}

/* Fill *delivery* with the tokens between *at* and *end*; 0 where they are others, or on an error. */
static int
fill(PyObject *delivery, const char *at, const char *end)
{
    for (Py_ssize_t field = 1; field < FIELDS; field++) {
        const char *next = token_end(at, end);
        PyObject *value =
            field < TEXTS ? PyUnicode_FromStringAndSize(at, next - at) : number_object(at, next);
        if (value == NULL) {
            return 0;
        }
        PyTuple_SET_ITEM(delivery, field, value);
        if (next == end) {
            return field == FIELDS - 1;
        }
        at = next + 1;
    }
    return 0; /* there are more */
}

PyObject *
parse_delivery(PyObject *module, PyObject *reply)
{
    static const char prefix[] = "$JS.ACK.";
    State *state = PyModule_GetState(module);
    Py_ssize_t size = sizeof(prefix) - 1;
    if (PyUnicode_Check(reply) && PyUnicode_IS_COMPACT_ASCII(reply) &&
        PyUnicode_GET_LENGTH(reply) > size &&
        memcmp(PyUnicode_DATA(reply), prefix, (size_t)size) == 0) {
        const char *text = PyUnicode_DATA(reply);
        PyTypeObject *type = (PyTypeObject *)state->delivery;
        PyObject *delivery = type->tp_alloc(type, FIELDS);
        if (delivery == NULL) {
            return NULL;
        }
        PyTuple_SET_ITEM(delivery, 0, Py_NewRef(state->empty));
        if (fill(delivery, text + size, text + PyUnicode_GET_LENGTH(reply))) {
            return delivery;
        }
        Py_DECREF(delivery);
        if (PyErr_Occurred()) {
            return NULL;
        }
    }
    return PyObject_CallOneArg(state->parse_delivery, reply);
}
