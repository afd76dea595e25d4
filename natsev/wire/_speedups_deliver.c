/* A message to its callback.

   All objects that are made of the message are made before it is consumed, and no Python code runs
   between: such code might receive more bytes, which may move those the message is in, or end what the
   message is for. So these are str, bytes and int only: to make any other may collect garbage, and
   that runs destructors. Once it is consumed, the callback may do anything to the wire, so nothing is
   looked at afterwards. */

#include "_speedups.h"

/* What a callback is called with; the place before the first is PY_VECTORCALL_ARGUMENTS_OFFSET's. */
typedef struct {
    PyObject *room_for_self, *values[MESSAGE_ARGS];
    int count;
} Arguments;

static void
clear_arguments(Arguments *arguments)
{
    while (arguments->count) {
        Py_DECREF(arguments->values[--arguments->count]);
    }
}

/* Add *value*, whose reference is taken over. */
static int
add(Arguments *arguments, PyObject *value)
{
    if (value == NULL) {
        clear_arguments(arguments);
        return -1;
    }
    arguments->values[arguments->count++] = value;
    return 0;
}

static PyObject *
text_or_none(Text text)
{
    if (text.data == NULL) {
        return Py_NewRef(Py_None);
    }
    return PyUnicode_DecodeUTF8(text.data, text.size, "surrogateescape");
}

static PyObject *
bytes_or_none(Text text)
{
    if (text.data == NULL) {
        return Py_NewRef(Py_None);
    }
    return PyBytes_FromStringAndSize(text.data, text.size);
}

static PyObject *
payload_of(const Message *message)
{
    /* Somebody who still has a view of it could change it. */
    if (message->large != NULL && Py_REFCNT(message->large) == 1) {
        return Py_NewRef(message->large);
    }
    return bytes_or_none(message->payload);
}

/* The last argument is a block of headers, or None: make it what users get. Runs Python code. */
static int
make_headers(Wire *self, Arguments *arguments)
{
    PyObject **last = &arguments->values[arguments->count - 1];
    if (*last == Py_None) {
        return 0;
    }
    PyObject *headers = PyObject_CallOneArg(self->state->headers, *last);
    if (headers == NULL) {
        clear_arguments(arguments);
        return -1;
    }
    Py_SETREF(*last, headers);
    return 0;
}

static PyObject *
current_exception(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* Call *callback*; an Exception goes to on_exception. Uses up both the callback and the arguments. */
static int
call(Wire *self, PyObject *callback, Arguments *arguments)
{
    PyObject *result =
        PyObject_Vectorcall(callback, arguments->values,
                            (size_t)arguments->count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(callback);
    clear_arguments(arguments);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *err = current_exception();
        result = PyObject_CallOneArg(self->on_exception, err);
        Py_DECREF(err);
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static void
consume(Wire *self, const Message *message)
{
    self->msgs_in++;
    self->bytes_in += (unsigned long long)(message->headers.size + message->payload.size);
    in_consume(&self->in, message);
}

static PyObject *
subject_of(const Subscription *subscription, const Message *message)
{
    const Text *own = &subscription->text;
    if (own->size == message->subject.size &&
        memcmp(own->data, message->subject.data, (size_t)own->size) == 0) {
        return Py_NewRef(subscription->subject);
    }
    return text_or_none(message->subject);
}

static int
deliver_message(Wire *self, const Message *message, Subscription *subscription)
{
    Arguments arguments = {.count = 0};
    int nargs = subscription->nargs;
    if ((nargs > 0 && add(&arguments, subject_of(subscription, message)) < 0) ||
        (nargs > 1 && add(&arguments, payload_of(message)) < 0) ||
        (nargs > 2 && add(&arguments, text_or_none(message->reply)) < 0) ||
        (nargs > 3 && add(&arguments, bytes_or_none(message->headers)) < 0)) {
        return -1;
    }
    PyObject *callback = Py_NewRef(subscription->callback);
    subscription->delivered++;
    if (subscription->delivered == subscription->max_msgs) {
        subscription_free(table_remove(&self->subscriptions, subscription->sid));
    }
    consume(self, message);
    if (nargs > 3 && make_headers(self, &arguments) < 0) {
        Py_DECREF(callback);
        return -1;
    }
    return call(self, callback, &arguments);
}

static int
is_no_responders(const Message *message)
{
    static const char status[] = "NATS/1.0 503";
    const Text *headers = &message->headers;
    Py_ssize_t size = sizeof(status) - 1;
    return message->payload.size == 0 && headers->size >= size &&
           memcmp(headers->data, status, (size_t)size) == 0 &&
           (headers->size == size || !Py_ISDIGIT(headers->data[size]));
}

/* The first argument is the sequence of an acknowledged message: make it what is told of that. May run
   Python code. Uses up *stream*. */
static int
make_ack(const State *state, Arguments *arguments, PyObject *stream, int duplicate)
{
    PyObject **first = &arguments->values[0], *ack = PyDict_New();
    if (ack == NULL || PyDict_SetItem(ack, state->stream, stream) < 0 ||
        PyDict_SetItem(ack, state->seq, *first) < 0 ||
        (duplicate && PyDict_SetItem(ack, state->duplicate, Py_True) < 0)) {
        Py_CLEAR(ack);
        clear_arguments(arguments);
    }
    Py_DECREF(stream);
    if (ack == NULL) {
        return -1;
    }
    Py_SETREF(*first, ack);
    return 0;
}

/* Consume the message that answers *request*, which is out of the table before its callback is called. */
static void
consume_reply(Wire *self, const Message *message, const Request *request)
{
    int multi = request->multi;
    /* Not the request's own number: where it waits for more than one reply, that is of the last. */
    uint64_t number = number_of(message->subject);
    consume(self, message);
    if (!multi) {
        Py_DECREF(take_request(self, number));
    }
}

/* Count the acknowledgement; the callback is called where half of the window, or nothing, waits. */
static int
deliver_to_window(Wire *self, const Message *message, Request *request, const PubAck *ack)
{
    Window *window = window_of(self->state, request);
    request->seq = ack->sequence;
    Py_INCREF(window);
    consume_reply(self, message, request);
    int failed = 0;
    if (window->waiting == window->low || window->waiting == 0) {
        Arguments arguments = {.count = 0};
        failed = call(self, Py_NewRef(window->callback), &arguments);
    }
    Py_DECREF(window);
    return failed;
}

static int
deliver_ack(Wire *self, const Message *message, Request *request, const PubAck *ack)
{
    Arguments arguments = {.count = 0};
    int nargs = request->nargs;
    if ((nargs > 0 && add(&arguments, PyLong_FromUnsignedLongLong(ack->sequence)) < 0) ||
        (nargs > 1 && add(&arguments, Py_NewRef(Py_None)) < 0)) {
        return -1;
    }
    PyObject *stream = NULL;
    int whole = nargs > 0 && request->reads != READS_SEQUENCE;
    if (whole) {
        stream = PyUnicode_FromStringAndSize(ack->stream.data, ack->stream.size);
        if (stream == NULL) {
            clear_arguments(&arguments);
            return -1;
        }
    }
    PyObject *callback = Py_NewRef(request->callback);
    consume_reply(self, message, request);
    if (whole && make_ack(self->state, &arguments, stream, ack->duplicate) < 0) {
        Py_DECREF(callback);
        return -1;
    }
    return call(self, callback, &arguments);
}

/* The first *nargs* of payload, err and headers; the err is None here, the headers are bytes. */
static int
reply_arguments(Arguments *arguments, const Message *message, int nargs, int refused)
{
    if ((nargs > 0 && add(arguments, refused ? Py_NewRef(Py_None) : payload_of(message)) < 0) ||
        (nargs > 1 && add(arguments, Py_NewRef(Py_None)) < 0) ||
        (nargs > 2 && add(arguments, bytes_or_none(message->headers)) < 0)) {
        return -1;
    }
    return 0;
}

/* Make the objects that take Python code. */
static int
finish_arguments(Wire *self, Arguments *arguments, int refused)
{
    if (arguments->count > 2 && make_headers(self, arguments) < 0) {
        return -1;
    }
    if (refused && arguments->count > 1) {
        PyObject *err = PyObject_CallNoArgs(self->state->no_responders);
        if (err == NULL) {
            clear_arguments(arguments);
            return -1;
        }
        Py_SETREF(arguments->values[1], err);
    }
    return 0;
}

static int
deliver_reply(Wire *self, const Message *message)
{
    Request *request = table_get(&self->requests, number_of(message->subject));
    if (request == NULL) {
        consume(self, message); /* answered already, cancelled or timed out */
        return 0;
    }
    PubAck ack;
    int reads = request->reads;
    if (reads != READS_PAYLOAD && reads != READS_NOTHING && read_puback(message->payload, &ack)) {
        if (reads != READS_WINDOW) {
            return deliver_ack(self, message, request, &ack);
        }
        if (window_of(self->state, request) != NULL && ack.sequence) {
            return deliver_to_window(self, message, request, &ack);
        }
    }
    Arguments arguments = {.count = 0};
    int refused = is_no_responders(message);
    if (reply_arguments(&arguments, message, reads ? REPLY_ARGS : request->nargs, refused) < 0) {
        return -1;
    }
    PyObject *callback = Py_NewRef(reads ? (PyObject *)request : request->callback);
    consume_reply(self, message, request);
    if (reads) {
        Py_SETREF(callback, PyObject_GetAttr(callback, self->state->end));
    }
    if (callback == NULL || finish_arguments(self, &arguments, refused) < 0) {
        clear_arguments(&arguments);
        Py_XDECREF(callback);
        return -1;
    }
    return call(self, callback, &arguments);
}

int
deliver(Wire *self, const Message *message)
{
    Subscription *subscription = table_get(&self->subscriptions, message->sid);
    if (subscription != NULL && message->sid == self->inbox_sid) {
        return deliver_reply(self, message);
    }
    if (subscription == NULL || self->refused != NULL) {
        consume(self, message); /* unsubscribed, or closing, while it was on its way */
        return 0;
    }
    return deliver_message(self, message, subscription);
}
