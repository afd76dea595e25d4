/* Received bytes: where they go, and what is next in them.

   Bytes are parsed in place between *start* and *end* of the storage. A message is only described
   here; it stays where it is until in_consume(). A large payload that is not there yet gets a bytes
   object of its own, which in_buffer() then hands out until it is full; the line and the headers of
   its message are kept aside meanwhile. */

#include "_speedups.h"

#define MOST_TOKENS 5
#define MOST_DIGITS 19

static char *
storage(const Input *in)
{
    return PyBytes_AS_STRING(in->storage);
}

static int
new_storage(Input *in, Py_ssize_t capacity)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, capacity);
    if (bytes == NULL) {
        return -1;
    }
    Py_ssize_t waiting = in->end - in->start;
    if (waiting) {
        memcpy(PyBytes_AS_STRING(bytes), storage(in) + in->start, (size_t)waiting);
    }
    Py_XSETREF(in->storage, bytes);
    in->capacity = capacity;
    return 0;
}

int
in_init(Input *in)
{
    memset(in, 0, sizeof(*in));
    return new_storage(in, RECEIVE_BUFFER);
}

static void
forget_large(Input *in)
{
    Py_CLEAR(in->large);
    PyMem_Free(in->large_head);
    in->large_head = NULL;
    in->room = 0;
}

void
in_reset(Input *in)
{
    forget_large(in);
    Py_CLEAR(in->dead);
    in->start = in->end = in->searched = 0;
}

void
in_free(Input *in)
{
    in_reset(in);
    Py_CLEAR(in->storage);
}

/* -- Bytes that come */

static int
make_room(Input *in)
{
    Py_ssize_t waiting = in->end - in->start;
    Py_ssize_t capacity = in->capacity;
    /* Grows only for a caller that feeds without dispatching, or for a huge block of headers. */
    while (capacity - waiting < LEAST_RECEIVE) {
        capacity *= 2;
    }
    if (capacity != in->capacity) {
        if (new_storage(in, capacity) < 0) {
            return -1;
        }
    }
    else {
        memmove(storage(in), storage(in) + in->start, (size_t)waiting);
    }
    in->searched = in->searched > in->start ? in->searched - in->start : 0;
    in->start = 0;
    in->end = waiting;
    return 0;
}

/* Where the next bytes go. */
static int
room(Input *in, PyObject **owner, char **data, Py_ssize_t *size)
{
    if (in->room) {
        *owner = in->large;
        *data = PyBytes_AS_STRING(in->large) + PyBytes_GET_SIZE(in->large) - in->room;
        *size = in->room;
        return 0;
    }
    if (in->capacity - in->end < LEAST_RECEIVE && make_room(in) < 0) {
        return -1;
    }
    *owner = in->storage;
    *data = storage(in) + in->end;
    *size = in->capacity - in->end;
    return 0;
}

PyObject *
in_buffer(Input *in, State *state)
{
    PyObject *owner;
    char *data;
    Py_ssize_t size;
    return room(in, &owner, &data, &size) < 0 ? NULL : room_view(state, owner, data, size, 0);
}

int
in_received(Input *in, Py_ssize_t size)
{
    Py_ssize_t most = in->room ? in->room : in->capacity - in->end;
    if (size < 0 || size > most) {
        PyErr_Format(PyExc_ValueError, "%zd bytes received, but there was room for %zd", size, most);
        return -1;
    }
    if (in->room) {
        in->room -= size;
    }
    else {
        in->end += size;
    }
    return 0;
}

int
in_feed(Input *in, const char *data, Py_ssize_t size)
{
    while (size > 0) {
        PyObject *owner;
        char *to;
        Py_ssize_t most;
        if (room(in, &owner, &to, &most) < 0) {
            return -1;
        }
        Py_ssize_t part = size < most ? size : most;
        memcpy(to, data, (size_t)part);
        if (in_received(in, part) < 0) {
            return -1;
        }
        data += part;
        size -= part;
    }
    return 0;
}

int
in_finished(Input *in)
{
    if (in->start != in->end) {
        return 0;
    }
    in->start = in->end = in->searched = 0;
    /* Without memory for a smaller one the big one stays. */
    if (in->capacity > RECEIVE_BUFFER && new_storage(in, RECEIVE_BUFFER) < 0) {
        PyErr_Clear();
    }
    return 1;
}

/* -- What is not the protocol */

static Step
fail(Input *in, State *state, const char *what, const char *data, Py_ssize_t size)
{
    in->dead = PyObject_CallFunction(state->make_protocol_error, "sy#", what, data, size);
    if (in->dead != NULL) {
        PyErr_SetObject(state->protocol_error, in->dead);
    }
    return IN_ERROR;
}

static Step
fail_line(Input *in, State *state, int limit)
{
    char what[64];
    PyOS_snprintf(what, sizeof(what), "line longer than %d bytes", limit);
    return fail(in, state, what, storage(in) + in->start, in->end - in->start);
}

static Step
fail_end(Input *in, State *state, const Message *message)
{
    return fail(in, state, "message without its line end", message->subject.data,
                message->subject.size);
}

static Step
fail_again(Input *in, State *state)
{
    PyObject *text = PyObject_Str(in->dead);
    if (text != NULL) {
        PyErr_SetObject(state->protocol_error, text);
        Py_DECREF(text);
    }
    return IN_ERROR;
}

/* -- Lines */

/* Only space and tab separate: other control characters can be part of a stranger's subject. */
static inline int
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Is *text*, in any case, *name*? */
static int
is_name(Text text, const char *name)
{
    for (Py_ssize_t i = 0; i < text.size; i++) {
        /* A '\0' may come as well: it must not match the one that ends *name*. */
        if (name[i] == '\0' || Py_TOUPPER(text.data[i]) != name[i]) {
            return 0;
        }
    }
    return name[text.size] == '\0';
}

static Text
strip(Text text, int (*stripped)(char))
{
    while (text.size && stripped(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size && stripped(text.data[text.size - 1])) {
        text.size--;
    }
    return text;
}

static int
is_quote(char c)
{
    return c == '\'';
}

/* Split at blanks; return how many tokens there are, but at most one more than fit. */
static int
split(const char *at, const char *end, Text *tokens)
{
    for (int count = 0;; count++) {
        while (at < end && is_blank(*at)) {
            at++;
        }
        if (at == end || count == MOST_TOKENS) {
            return at == end ? count : count + 1;
        }
        tokens[count].data = at;
        while (at < end && !is_blank(*at)) {
            at++;
        }
        tokens[count].size = at - tokens[count].data;
    }
}

static int
number(Text token, uint64_t *value)
{
    *value = 0;
    if (token.size > MOST_DIGITS) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < token.size; i++) {
        if (!Py_ISDIGIT(token.data[i])) {
            return 0;
        }
        *value = 10 * *value + (uint64_t)(token.data[i] - '0');
    }
    return 1;
}

/* -- Messages */

/* What the line of a MSG or HMSG says. */
typedef struct {
    Text subject, reply;
    uint64_t sid, headers_size, size;
    int has_headers;
} Head;

/* Is the line from *begin* to *end*, without its line end, one of a message? */
static int
parse_head(const char *begin, const char *end, Head *head)
{
    head->has_headers = end - begin > 4 && (begin[0] | 0x20) == 'h';
    begin += head->has_headers;
    if (end - begin < 4 || !is_name((Text){begin, 3}, "MSG") || !is_blank(begin[3])) {
        return 0;
    }
    Text tokens[MOST_TOKENS];
    int count = split(begin + 4, end, tokens) - head->has_headers;
    if (count != 3 && count != 4) {
        return 0;
    }
    head->subject = tokens[0];
    head->reply = count == 4 ? tokens[2] : (Text){NULL, 0};
    const Text *sizes = tokens + count - 1;
    head->headers_size = 0;
    if (head->has_headers && !number(*sizes++, &head->headers_size)) {
        return 0;
    }
    if (!number(tokens[1], &head->sid) || !number(*sizes, &head->size)) {
        return 0;
    }
    if (tokens[1].data[0] == '0') {
        head->sid = 0; /* we never wrote it so: nobody's */
    }
    return 1;
}

static Text
moved(Text text, const char *from, const char *to)
{
    return text.data == NULL ? text : (Text){to + (text.data - from), text.size};
}

/* The payload is long and not all there: let the rest come into its own bytes object. */
static Step
begin_large(Input *in, const Message *message)
{
    const char *begin = storage(in) + in->start;
    Py_ssize_t head = message->payload.data - begin;
    Py_ssize_t there = in->end - in->start - head;
    PyObject *large = PyBytes_FromStringAndSize(NULL, message->payload.size);
    char *kept = PyMem_Malloc((size_t)head);
    if (large == NULL || kept == NULL) {
        Py_XDECREF(large);
        PyMem_Free(kept);
        PyErr_NoMemory();
        return IN_ERROR;
    }
    memcpy(kept, begin, (size_t)head);
    memcpy(PyBytes_AS_STRING(large), message->payload.data, (size_t)there);
    in->large_message = (Message){
        .sid = message->sid,
        .subject = moved(message->subject, begin, kept),
        .reply = moved(message->reply, begin, kept),
        .headers = moved(message->headers, begin, kept),
        .payload = {PyBytes_AS_STRING(large), message->payload.size},
        .large = large,
    };
    in->large = large;
    in->large_head = kept;
    in->room = message->payload.size - there;
    in->start = in->end;
    in_finished(in);
    return IN_MORE;
}

static Step
end_large(Input *in, State *state, Message *message)
{
    if (in->end - in->start < 2) {
        return IN_MORE;
    }
    const char *end = storage(in) + in->start;
    if (end[0] != '\r' || end[1] != '\n') {
        return fail_end(in, state, &in->large_message);
    }
    *message = in->large_message;
    message->end = in->start + 2;
    return IN_MESSAGE;
}

/* A message whose line ends before *body*. */
static Step
next_message(Input *in, State *state, const Head *head, const char *body, Message *message)
{
    const char *begin = storage(in) + in->start;
    const char *end = storage(in) + in->end;
    if (head->headers_size > head->size) {
        return fail(in, state, "headers longer than the message", begin, body - begin);
    }
    if (body - begin > MAX_LINE) {
        return fail_line(in, state, MAX_LINE);
    }
    if (head->size > MAX_MESSAGE) {
        char what[64];
        PyOS_snprintf(what, sizeof(what), "message of more than %d bytes", MAX_MESSAGE);
        return fail(in, state, what, begin, body - begin);
    }
    Py_ssize_t headers_size = (Py_ssize_t)head->headers_size, size = (Py_ssize_t)head->size;
    if (headers_size > end - body) {
        return IN_MORE;
    }
    message->sid = head->sid;
    message->subject = head->subject;
    message->reply = head->reply;
    message->headers = head->has_headers ? (Text){body, headers_size} : (Text){NULL, 0};
    message->payload = (Text){body + headers_size, size - headers_size};
    message->large = NULL;
    if (size + 2 > end - body) {
        int large = size > end - body && message->payload.size >= LARGE;
        return large ? begin_large(in, message) : IN_MORE;
    }
    if (body[size] != '\r' || body[size + 1] != '\n') {
        return fail_end(in, state, message);
    }
    message->end = in->start + (body - begin) + size + 2;
    return IN_MESSAGE;
}

void
in_consume(Input *in, const Message *message)
{
    in->start = message->end;
    if (message->large != NULL) {
        forget_large(in);
    }
}

/* -- What is not a message */

/* The event of the line from *begin* to *end*, its line end included; NULL where it is none, then
   without an exception. */
static PyObject *
line_event(State *state, const char *begin, const char *end)
{
    if (end - begin < 2 || end[-2] != '\r') {
        return NULL;
    }
    Text name = {begin, 0};
    while (name.data + name.size < end - 2 && !is_blank(name.data[name.size])) {
        name.size++;
    }
    Text argument = strip((Text){begin + name.size, end - 2 - begin - name.size}, is_blank);
    if (is_name(name, "-ERR")) {
        argument = strip(argument, is_quote);
        PyObject *text = PyUnicode_DecodeUTF8(argument.data, argument.size, "backslashreplace");
        PyObject *event = text ? PyObject_CallOneArg(state->err, text) : NULL;
        Py_XDECREF(text);
        return event;
    }
    if (is_name(name, "INFO")) {
        return argument.size ? PyObject_CallFunction(state->info, "y#", argument.data, argument.size)
                             : NULL;
    }
    if (argument.size) {
        return NULL;
    }
    PyObject *kind = is_name(name, "PING")   ? state->ping
                     : is_name(name, "PONG") ? state->pong
                     : is_name(name, "+OK")  ? state->ok
                                             : NULL;
    return kind ? PyObject_CallNoArgs(kind) : NULL;
}

/* Can this become the name of an operation? */
static int
begins_operation(Text begin)
{
    static const char *const names[] = {"INFO", "MSG", "HMSG", "PING", "PONG", "+OK", "-ERR"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        Py_ssize_t same = 0;
        while (same < begin.size && names[i][same] &&
               Py_TOUPPER(begin.data[same]) == names[i][same]) {
            same++;
        }
        if (same == begin.size) {
            return 1;
        }
    }
    return 0;
}

/* A line that is not one of a message: *newline* is its last character, or NULL. */
static Step
next_line(Input *in, State *state, const char *newline, PyObject **event)
{
    const char *begin = storage(in) + in->start;
    Py_ssize_t size = newline ? newline + 1 - begin : in->end - in->start;
    Text head = {begin, size < 4 ? size : 4};
    Text operation = head;
    while (operation.size && memchr(" \t\r\n", operation.data[operation.size - 1], 4)) {
        operation.size--;
    }
    int limit = is_name(operation, "INFO") ? MAX_INFO : MAX_LINE;
    if (size > limit) {
        return fail_line(in, state, limit);
    }
    if (newline == NULL) {
        if (!begins_operation(operation)) {
            return fail(in, state, "unknown operation", head.data, head.size);
        }
        in->searched = in->end;
        return IN_MORE;
    }
    /* Consumed first: making the event runs Python code, after which there may be nothing left to consume. */
    Py_ssize_t end = in->start += size;
    *event = line_event(state, begin, newline + 1);
    if (*event != NULL) {
        return IN_EVENT;
    }
    if (!PyErr_Occurred()) {
        return fail(in, state, "not the protocol", begin, size);
    }
    if (in->start == end) {
        in->start -= size;
    }
    return IN_ERROR;
}

Step
in_next(Input *in, State *state, Message *message, PyObject **event)
{
    if (in->dead != NULL) {
        return fail_again(in, state);
    }
    if (in->large != NULL) {
        return end_large(in, state, message);
    }
    Py_ssize_t from = in->searched > in->start ? in->searched : in->start;
    const char *newline = memchr(storage(in) + from, '\n', (size_t)(in->end - from));
    const char *begin = storage(in) + in->start;
    Head head;
    if (newline != NULL && newline > begin && newline[-1] == '\r' &&
        parse_head(begin, newline - 1, &head)) {
        return next_message(in, state, &head, newline + 1, message);
    }
    return next_line(in, state, newline, event);
}
