/* Requests of a wire: their numbers, their inbox, their time, and their end.

   A request's number in hexadecimal is its token, the last part of its reply subject. */

#include "_speedups.h"

#define MOST_DIGITS 16

/* -- Tokens */

static char *
put_token(char *to, uint64_t number)
{
    char digits[MOST_DIGITS], *first = digits + MOST_DIGITS;
    do {
        *--first = "0123456789abcdef"[number & 15];
        number >>= 4;
    } while (number);
    size_t size = (size_t)(digits + MOST_DIGITS - first);
    memcpy(to, first, size);
    return to + size;
}

PyObject *
request_token(const Request *request)
{
    char token[MOST_DIGITS];
    Py_ssize_t size = request->number ? put_token(token, request->number) - token : 0;
    return PyUnicode_FromStringAndSize(token, size);
}

uint64_t
number_of(Text subject)
{
    uint64_t number = 0;
    int shift = 0;
    const char *at = subject.data + subject.size;
    while (at > subject.data && at[-1] != '.') {
        at--;
        int digit = *at >= '0' && *at <= '9' ? *at - '0' : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10 : -1;
        if (digit < 0 || shift == 4 * MOST_DIGITS) {
            return 0;
        }
        number |= (uint64_t)digit << shift;
        shift += 4;
    }
    return shift && *at == '0' ? 0 : number; /* we write none before a token */
}

/* -- The inbox */

int
inbox_set(Wire *self, PyObject *inbox)
{
    Text text;
    text.data = PyUnicode_AsUTF8AndSize(inbox, &text.size);
    char *reply = text.data ? PyMem_Malloc((size_t)text.size + MOST_DIGITS) : NULL;
    if (reply == NULL) {
        return text.data ? (PyErr_NoMemory(), -1) : -1;
    }
    memcpy(reply, text.data, (size_t)text.size);
    PyMem_Free(self->reply);
    self->reply = reply;
    self->inbox_size = text.size;
    Py_XSETREF(self->inbox, Py_NewRef(inbox));
    return 0;
}

/* Where the reply to a request goes: good until the next call. */
static Text
reply_subject(Wire *self, uint64_t number)
{
    return (Text){self->reply, put_token(self->reply + self->inbox_size, number) - self->reply};
}

static int
ensure_inbox(Wire *self)
{
    if (self->inbox_sid) {
        return 0;
    }
    PyObject *pattern = PyUnicode_FromFormat("%U*", self->inbox);
    if (pattern == NULL) {
        return -1;
    }
    PyObject *subject = PyObject_CallOneArg(self->state->check_subscription, pattern);
    Py_DECREF(pattern);
    if (subject == NULL) {
        return -1;
    }
    uint64_t sid = add_subscription(self, subject, NULL, Py_None, 0, 0);
    if (sid == 0) {
        return -1;
    }
    self->inbox_sid = sid;
    return 0;
}

/* -- In and out of the table */

static int
check_request(const Wire *self, PyObject *object)
{
    if (PyObject_TypeCheck(object, (PyTypeObject *)self->state->request_type)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "request must be a Request, not %s", Py_TYPE(object)->tp_name);
    return -1;
}

Window *
window_of(const State *state, const Request *request)
{
    int has_one = request->reads == READS_WINDOW &&
                  Py_IS_TYPE(request->callback, (PyTypeObject *)state->window_type);
    return has_one ? (Window *)request->callback : NULL;
}

/* Enter *object* under a number of its own. */
static int
enter(Wire *self, PyObject *object)
{
    if (check_request(self, object) < 0) {
        return -1;
    }
    Request *request = (Request *)object;
    Window *window = window_of(self->state, request);
    if (request->reads == READS_WINDOW && window == NULL) {
        PyErr_Format(PyExc_TypeError, "callback must be a Window, not %s",
                     Py_TYPE(request->callback)->tp_name);
        return -1;
    }
    if (ensure_inbox(self) < 0 || table_reserve(&self->requests) < 0) {
        return -1;
    }
    request->number = ++self->last_token;
    request->frame = self->out.appended + 1;
    request->seq = 0;
    table_put(&self->requests, request->number, Py_NewRef(object));
    if (window != NULL) {
        window->waiting++;
    }
    return 0;
}

PyObject *
take_request(Wire *self, uint64_t number)
{
    PyObject *request = table_remove(&self->requests, number);
    Window *window = request ? window_of(self->state, (Request *)request) : NULL;
    if (window != NULL) {
        window->waiting--;
    }
    return request;
}

PyObject *
wire_expect(Wire *self, PyObject *request)
{
    if (enter(self, request) < 0) {
        return NULL;
    }
    Text subject = reply_subject(self, self->last_token);
    return PyUnicode_DecodeUTF8(subject.data, subject.size, NULL);
}

/* -- Asking */

/* Take the ms that a request may take, None or an int or a float, into *seconds*. */
static int
take_timeout(Wire *self, PyObject *ms, double *seconds)
{
    *seconds = INFINITY;
    if (ms == NULL || ms == Py_None) {
        return 0;
    }
    double value = -1;
    if (PyFloat_CheckExact(ms)) {
        value = PyFloat_AS_DOUBLE(ms);
    }
    else if (PyLong_CheckExact(ms)) {
        value = PyLong_AsDouble(ms);
        PyErr_Clear();
    }
    if (!(value > 0)) { /* unusual or wrong */
        PyObject *checked = PyObject_CallOneArg(self->state->check_timeout, ms);
        value = checked ? PyFloat_AsDouble(checked) : -1;
        Py_XDECREF(checked);
        if (PyErr_Occurred()) {
            return -1;
        }
    }
    *seconds = value / 1000;
    return 0;
}

/* Have on_deadline called where *at* comes before all it was told of. */
static int
tell_deadline(Wire *self, double at)
{
    if (!(at < self->deadlines.told)) {
        return 0;
    }
    self->deadlines.told = at;
    if (self->on_deadline == Py_None) {
        return 0;
    }
    PyObject *result = PyObject_CallNoArgs(self->on_deadline);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
set_deadline(Wire *self, Request *request, double seconds)
{
    request->deadline = INFINITY;
    if (seconds == INFINITY) {
        return 0;
    }
    request->deadline = seconds_now() + seconds;
    return deadlines_push(&self->deadlines, request->deadline, request->number, &self->requests);
}

static int
ask(Wire *self, PyObject *object, Text subject, const Data *headers, Data *payload, double seconds)
{
    if (enter(self, object) < 0) {
        return -1;
    }
    uint64_t number = self->last_token;
    if (set_deadline(self, (Request *)object, seconds) < 0 ||
        append_message(self, subject, reply_subject(self, number), headers, payload) < 0) {
        Py_XDECREF(take_request(self, number));
        return -1;
    }
    return tell_deadline(self, ((Request *)object)->deadline);
}

PyObject *
wire_request(Wire *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"request", "subject", "payload", "headers", "timeout"};
    PyObject *values[5] = {NULL};
    Text subject;
    Data headers, payload;
    double seconds;
    if (take_arguments("request", names, 2, 5, args, nargs, kwnames, values) < 0 ||
        take_timeout(self, values[4], &seconds) < 0 ||
        legal_subject(self, values[1], "subject", &subject) < 0) {
        return NULL;
    }
    int with_headers = values[3] != NULL && values[3] != Py_None;
    if (with_headers && headers_data(self, values[3], &headers) < 0) {
        return NULL;
    }
    int failed = payload_data(self, values[2], &payload);
    if (!failed) {
        failed = ask(self, values[0], subject, with_headers ? &headers : NULL, &payload, seconds);
        data_release(&payload);
    }
    if (with_headers) {
        data_release(&headers);
    }
    return failed < 0 ? NULL : Py_NewRef(Py_None);
}

/* -- Giving up */

/* Give up a request of the table, and its message where that is unsent; the caller gets the reference. */
static PyObject *
give_up(Wire *self, uint64_t number)
{
    PyObject *request = take_request(self, number);
    if (!((Request *)request)->multi) {
        out_drop(&self->out, ((Request *)request)->frame);
    }
    return request;
}

PyObject *
wire_forget(Wire *self, PyObject *object)
{
    if (check_request(self, object) < 0) {
        return NULL;
    }
    uint64_t number = ((Request *)object)->number;
    if (table_get(&self->requests, number) != object) {
        Py_RETURN_FALSE;
    }
    Py_DECREF(give_up(self, number));
    Py_RETURN_TRUE;
}

PyObject *
wire_expired(Wire *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *expired = PyList_New(0);
    double now = seconds_now();
    Deadlines *heap = &self->deadlines;
    while (expired != NULL && heap->count) {
        Deadline first = heap->items[0];
        PyObject *request = table_get(&self->requests, first.number);
        if (request != NULL && first.at > now) {
            break;
        }
        if (request != NULL && PyList_Append(expired, request) < 0) {
            Py_CLEAR(expired);
            break;
        }
        deadlines_pop(heap);
        if (request != NULL) {
            Py_DECREF(give_up(self, first.number));
        }
    }
    heap->told = heap->count ? heap->items[0].at : INFINITY;
    return expired;
}

PyObject *
wire_wait(Wire *self, PyObject *Py_UNUSED(ignored))
{
    if (self->deadlines.told == INFINITY) {
        Py_RETURN_NONE;
    }
    double left = self->deadlines.told - seconds_now();
    return PyFloat_FromDouble(left > 0 ? left : 0);
}

/* Take out the requests whose frame is at most *frame*; return them. */
PyObject *
take_requests(Wire *self, uint64_t frame)
{
    /* First the list: making one may collect garbage, and so end requests. */
    PyObject *taken = PyList_New(0);
    Slot *sorted = taken ? table_sorted(&self->requests) : NULL;
    if (sorted == NULL) {
        Py_CLEAR(taken);
    }
    for (Slot *each = sorted; taken != NULL && each->thing != NULL; each++) {
        if (((Request *)each->thing)->frame > frame) {
            continue;
        }
        if (PyList_Append(taken, each->thing) < 0) {
            Py_CLEAR(taken);
        }
        else {
            Py_DECREF(take_request(self, each->number));
        }
    }
    PyMem_Free(sorted);
    return taken;
}

/* {number of the frame: request} */
static PyObject *
requests_by_frame(const Wire *self)
{
    PyObject *by_frame = PyDict_New();
    Slot *sorted = by_frame ? table_sorted(&self->requests) : NULL;
    if (sorted == NULL) {
        Py_CLEAR(by_frame);
    }
    for (Slot *each = sorted; by_frame != NULL && each->thing != NULL; each++) {
        PyObject *frame = PyLong_FromUnsignedLongLong(((Request *)each->thing)->frame);
        if (frame == NULL || PyDict_SetItem(by_frame, frame, each->thing) < 0) {
            Py_CLEAR(by_frame);
        }
        Py_XDECREF(frame);
    }
    PyMem_Free(sorted);
    return by_frame;
}

/* Give up queued messages of more than so many bytes; return [(size, request or None)]. */
PyObject *
drop_messages(Wire *self, Py_ssize_t larger_than)
{
    PyObject *by_frame = requests_by_frame(self);
    size_t count = 0;
    Dropped *messages = by_frame ? out_drop_messages(&self->out, larger_than, &count) : NULL;
    PyObject *dropped = messages ? PyList_New(0) : NULL;
    for (size_t i = 0; dropped != NULL && i < count; i++) {
        PyObject *frame = PyLong_FromUnsignedLongLong(messages[i].frame);
        PyObject *request = frame ? PyDict_GetItemWithError(by_frame, frame) : NULL;
        PyObject *entry =
            frame ? Py_BuildValue("nO", messages[i].size, request ? request : Py_None) : NULL;
        if (entry == NULL || PyList_Append(dropped, entry) < 0) {
            Py_CLEAR(dropped);
        }
        else if (request != NULL) {
            Py_XDECREF(take_request(self, ((Request *)request)->number));
        }
        Py_XDECREF(entry);
        Py_XDECREF(frame);
    }
    Py_XDECREF(by_frame);
    PyMem_Free(messages);
    return dropped;
}

PyObject *
get_requests(Wire *self, void *Py_UNUSED(closure))
{
    PyObject *requests = PyDict_New();
    Slot *sorted = requests ? table_sorted(&self->requests) : NULL;
    if (sorted == NULL) {
        Py_CLEAR(requests);
    }
    for (Slot *each = sorted; requests != NULL && each->thing != NULL; each++) {
        PyObject *token = request_token(each->thing);
        if (token == NULL || PyDict_SetItem(requests, token, each->thing) < 0) {
            Py_CLEAR(requests);
        }
        Py_XDECREF(token);
    }
    PyMem_Free(sorted);
    return requests;
}
