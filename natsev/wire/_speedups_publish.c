/* Publishing: arguments to a frame, in one pass. */

#include "_speedups.h"

/* -- Arguments */

static int
position_of(PyObject *name, const char *const *names, int most)
{
    for (int i = 0; i < most; i++) {
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* Sort a call's arguments, of which the first *required* must be there, into *values*. */
int
take_arguments(const char *function, const char *const *names, int required, int most,
               PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **values)
{
    if (nargs > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d arguments (%zd given)", function, most,
                     nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        values[i] = args[i];
    }
    Py_ssize_t keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < keywords; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        int position = position_of(name, names, most);
        if (position < 0 || values[position] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected or repeated argument '%U'",
                         function, name);
            return -1;
        }
        values[position] = args[nargs + i];
    }
    for (int i = 0; i < required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() misses the argument '%s'", function, names[i]);
            return -1;
        }
    }
    return 0;
}

/* -- Subjects */

enum { ORDINARY, ENDS_TOKEN, ILLEGAL };

/* gcc and clang both know such ranges. */
static const unsigned char KINDS[128] = {[0 ... ' '] = ILLEGAL, [0x7f] = ILLEGAL, ['.'] = ENDS_TOKEN};

static int
is_legal_token(const char *begin, const char *end)
{
    return end - begin > 1 || (end - begin == 1 && *begin != '*' && *begin != '>');
}

/* Is ASCII text without whitespace, control characters, empty tokens and wildcards? */
static int
plainly_legal(const char *subject, Py_ssize_t size)
{
    const char *token = subject, *end = subject + size;
    for (const char *at = subject; at < end; at++) {
        unsigned char kind = KINDS[(unsigned char)*at];
        if (kind == ORDINARY) {
            continue;
        }
        if (kind == ILLEGAL || !is_legal_token(token, at)) {
            return 0;
        }
        token = at + 1;
    }
    return is_legal_token(token, end);
}

/* Check *subject*; *text* is then its UTF-8, which lives as long as it does. */
int
legal_subject(Wire *self, PyObject *subject, const char *kind, Text *text)
{
    if (!PyUnicode_Check(subject)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %s", kind, Py_TYPE(subject)->tp_name);
        return -1;
    }
    if (PyUnicode_IS_COMPACT_ASCII(subject)) {
        text->data = PyUnicode_DATA(subject);
        text->size = PyUnicode_GET_LENGTH(subject);
        if (plainly_legal(text->data, text->size)) {
            return 0;
        }
    }
    PyObject *checked = PyObject_CallFunction(self->state->check_subject, "Os", subject, kind);
    if (checked == NULL) {
        return -1;
    }
    Py_DECREF(checked);
    text->data = PyUnicode_AsUTF8AndSize(subject, &text->size);
    return text->data == NULL ? -1 : 0;
}

/* -- Payloads and headers */

void
data_release(Data *data)
{
    Py_XDECREF(data->bytes);
    if (data->view.obj != NULL) {
        PyBuffer_Release(&data->view);
    }
}

static int
hold_bytes(Data *data, PyObject *bytes)
{
    data->bytes = bytes;
    if (bytes == NULL) {
        return -1;
    }
    data->text = (Text){PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)};
    return 0;
}

static int
hold_text(Data *data, PyObject *text)
{
    if (PyUnicode_IS_COMPACT_ASCII(text) && PyUnicode_GET_LENGTH(text) < LARGE) {
        data->text = (Text){PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)};
        return 0;
    }
    return hold_bytes(data, PyUnicode_AsUTF8String(text));
}

static int
hold_view(Wire *self, PyObject *object, Data *data)
{
    if (PyObject_GetBuffer(object, &data->view, PyBUF_FULL_RO) < 0) {
        return -1;
    }
    if (!PyBuffer_IsContiguous(&data->view, 'C')) {
        return hold_bytes(data, PyObject_CallMethodNoArgs(object, self->state->tobytes));
    }
    data->text = (Text){data->view.buf, data->view.len};
    if (data->text.size < LARGE) {
        return 0;
    }
    PyObject *base = PyMemoryView_Check(object) ? PyMemoryView_GET_BASE(object) : NULL;
    if (base != NULL && PyBytes_CheckExact(base)) {
        data->bytes = Py_NewRef(base);
        return 0;
    }
    return hold_bytes(data, PyBytes_FromStringAndSize(data->text.data, data->text.size));
}

/* What to send as the payload. A large one is always in a bytes object that nobody can change. */
int
payload_data(Wire *self, PyObject *payload, Data *data)
{
    memset(data, 0, sizeof(*data));
    if (payload == NULL) {
        data->text.data = "";
        return 0;
    }
    if (PyBytes_CheckExact(payload)) {
        return hold_bytes(data, Py_NewRef(payload));
    }
    if (PyUnicode_Check(payload)) {
        return hold_text(data, payload);
    }
    if (PyBytes_Check(payload) || PyByteArray_Check(payload) || PyMemoryView_Check(payload)) {
        if (hold_view(self, payload, data) < 0) {
            data_release(data);
            return -1;
        }
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "payload must be bytes, bytearray, memoryview or str, not %s",
                 Py_TYPE(payload)->tp_name);
    return -1;
}

int
headers_data(Wire *self, PyObject *headers, Data *data)
{
    memset(data, 0, sizeof(*data));
    return hold_bytes(data, encode_headers(self->state, headers));
}

/* -- Frames */

static char *
put(char *to, Text text)
{
    memcpy(to, text.data, (size_t)text.size);
    return to + text.size;
}

static char *
put_number(char *to, Py_ssize_t number)
{
    char digits[24], *first = digits + sizeof(digits);
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return put(to, (Text){first, digits + sizeof(digits) - first});
}

int
check_line(State *state, Text line)
{
    if (line.size <= MAX_CONTROL_LINE) {
        return 0;
    }
    PyObject *err = PyObject_CallFunction(state->make_line_too_long, "y#", line.data, line.size);
    if (err != NULL) {
        PyErr_SetObject(PyExc_ValueError, err);
        Py_DECREF(err);
    }
    return -1;
}

static int
raise_new(PyObject *type, Py_ssize_t a, Py_ssize_t b)
{
    PyObject *err = PyObject_CallFunction(type, "nn", a, b);
    if (err != NULL) {
        PyErr_SetObject(type, err);
        Py_DECREF(err);
    }
    return -1;
}

static int
raise_refused(Wire *self)
{
    PyObject *type = (PyObject *)Py_TYPE(self->refused);
    PyObject *err = PyObject_CallNoArgs(type);
    if (err != NULL) {
        PyErr_SetObject(type, err);
        Py_DECREF(err);
    }
    return -1;
}

/* May a message of *size* and a frame of *frame_size* bytes be appended? */
static int
check_room(Wire *self, Py_ssize_t size, Py_ssize_t frame_size)
{
    if (size > self->max_payload) {
        return raise_new(self->state->max_payload_error, size, self->max_payload);
    }
    if (self->refused != NULL) {
        return raise_refused(self);
    }
    if (frame_size > self->max_output - self->out.pending) {
        return raise_new(self->state->buffer_full_error, self->out.pending, self->max_output);
    }
    return 0;
}

static int
raise_too_long(Wire *self, Text subject, Text reply, Text sizes)
{
    PyObject *line = PyBytes_FromStringAndSize(NULL, subject.size + reply.size + sizes.size + 1);
    if (line == NULL) {
        return -1;
    }
    char *end = put(PyBytes_AS_STRING(line), subject);
    if (reply.size) {
        *end++ = ' ';
        end = put(end, reply);
    }
    end = put(end, sizes);
    check_line(self->state, (Text){PyBytes_AS_STRING(line), end - PyBytes_AS_STRING(line)});
    Py_DECREF(line);
    return -1;
}

/* Tell the owner of the socket, where there was nothing to write before. */
int
tell_output(Wire *self, Py_ssize_t pending_before)
{
    if (pending_before || !self->live || self->dispatching) {
        return 0;
    }
    PyObject *result = PyObject_CallNoArgs(self->on_output);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
append_message(Wire *self, Text subject, Text reply, const Data *headers, Data *payload)
{
    if (headers != NULL && !self->headers) {
        PyErr_SetString(self->state->nats_error, "the server does not take headers");
        return -1;
    }
    Py_ssize_t size = payload->text.size + (headers ? headers->text.size : 0);
    char digits[64], *end = digits;
    if (headers != NULL) {
        *end++ = ' ';
        end = put_number(end, headers->text.size);
    }
    *end++ = ' ';
    Text sizes = {digits, put_number(end, size) - digits};

    Py_ssize_t line_size = subject.size + (reply.size ? 1 + reply.size : 0) + sizes.size;
    if (line_size > MAX_CONTROL_LINE) {
        return raise_too_long(self, subject, reply, sizes);
    }
    int large = payload->text.size >= LARGE;
    Py_ssize_t in_place = (headers ? 5 + headers->text.size : 4) + line_size + 2 +
                          (large ? 0 : payload->text.size) + 2;
    if (check_room(self, size, in_place + (large ? payload->text.size : 0)) < 0) {
        return -1;
    }
    char *to = out_reserve(&self->out, in_place);
    if (to == NULL) {
        return -1;
    }
    to = headers ? put(to, (Text){"HPUB ", 5}) : put(to, (Text){"PUB ", 4});
    to = put(to, subject);
    if (reply.size) {
        *to++ = ' ';
        to = put(to, reply);
    }
    to = put(to, sizes);
    to = put(to, (Text){"\r\n", 2});
    if (headers != NULL) {
        to = put(to, headers->text);
    }
    if (!large) {
        to = put(to, payload->text);
    }
    put(to, (Text){"\r\n", 2});

    Py_ssize_t pending = self->out.pending;
    out_commit(&self->out, in_place, FRAME_MESSAGE, large ? payload->bytes : NULL, payload->text);
    self->msgs_out++;
    self->bytes_out += (unsigned long long)size;
    return tell_output(self, pending);
}

int
append_frame(Wire *self, Text frame)
{
    Py_ssize_t pending = self->out.pending;
    return out_append(&self->out, frame) < 0 ? -1 : tell_output(self, pending);
}
