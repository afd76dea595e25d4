/* Wire: what Python sees. The methods are those of natsev.wire.pure.Wire, where they are documented. */

#include "_speedups.h"

static const Text NOTHING = {NULL, 0};

/* -- Publishing */

static PyObject *
wire_publish(Wire *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"subject", "payload", "reply_to"};
    PyObject *values[3] = {NULL};
    Text subject, reply = NOTHING;
    Data payload;
    if (take_arguments("publish", names, 1, 3, args, nargs, kwnames, values) < 0 ||
        legal_subject(self, values[0], "subject", &subject) < 0 ||
        (values[2] != NULL && values[2] != Py_None &&
         legal_subject(self, values[2], "reply_to", &reply) < 0) ||
        payload_data(self, values[1], &payload) < 0) {
        return NULL;
    }
    int failed = append_message(self, subject, reply, NULL, &payload);
    data_release(&payload);
    return failed < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
wire_hpublish(Wire *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"subject", "headers", "payload", "reply_to"};
    PyObject *values[4] = {NULL};
    Text subject, reply = NOTHING;
    Data headers, payload;
    if (take_arguments("hpublish", names, 2, 4, args, nargs, kwnames, values) < 0 ||
        legal_subject(self, values[0], "subject", &subject) < 0 ||
        (values[3] != NULL && values[3] != Py_None &&
         legal_subject(self, values[3], "reply_to", &reply) < 0) ||
        headers_data(self, values[1], &headers) < 0) {
        return NULL;
    }
    int failed = payload_data(self, values[2], &payload);
    if (!failed) {
        failed = append_message(self, subject, reply, &headers, &payload);
        data_release(&payload);
    }
    data_release(&headers);
    return failed < 0 ? NULL : Py_NewRef(Py_None);
}

/* -- Subscriptions */

static int
control(Wire *self, const char *frame, Py_ssize_t size)
{
    return self->live ? append_frame(self, (Text){frame, size}) : 0;
}

static int
control_bytes(Wire *self, PyObject *frame)
{
    if (frame == NULL) {
        return -1;
    }
    int failed = control(self, PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame));
    Py_DECREF(frame);
    return failed;
}

/* The SUB of a subscription as bytes, checked. */
static PyObject *
subscribe_frame(const Wire *self, const Subscription *subscription)
{
    PyObject *group = subscription->queue_group;
    PyObject *text = PyUnicode_FromFormat("SUB %U%s%U %llu\r\n", subscription->subject,
                                          group ? " " : "", group ? group : self->state->empty,
                                          (unsigned long long)subscription->sid);
    if (text == NULL) {
        return NULL;
    }
    PyObject *frame = PyUnicode_AsUTF8String(text);
    Py_DECREF(text);
    if (frame == NULL) {
        return NULL;
    }
    Text line = {PyBytes_AS_STRING(frame) + 4, PyBytes_GET_SIZE(frame) - 6};
    if (check_line(self->state, line) < 0) {
        Py_DECREF(frame);
        return NULL;
    }
    return frame;
}

static PyObject *
unsubscribe_frame(uint64_t sid, uint64_t max_msgs)
{
    char frame[64];
    int size = max_msgs ? PyOS_snprintf(frame, sizeof(frame), "UNSUB %llu %llu\r\n",
                                        (unsigned long long)sid, (unsigned long long)max_msgs)
                        : PyOS_snprintf(frame, sizeof(frame), "UNSUB %llu\r\n",
                                        (unsigned long long)sid);
    return PyBytes_FromStringAndSize(frame, size);
}

void
subscription_free(void *thing)
{
    Subscription *subscription = thing;
    PyObject *callback = subscription->callback;
    Py_DECREF(subscription->subject);
    Py_XDECREF(subscription->queue_group);
    PyMem_Free(subscription);
    Py_DECREF(callback);
}

/* Enter a subscription, whose references to *subject* and *queue_group* are taken over. */
uint64_t
add_subscription(Wire *self, PyObject *subject, PyObject *queue_group, PyObject *callback, int nargs,
                 unsigned long long max_msgs)
{
    Subscription *new = PyMem_Calloc(1, sizeof(*new));
    if (new == NULL) {
        Py_DECREF(subject);
        Py_XDECREF(queue_group);
        PyErr_NoMemory();
        return 0;
    }
    uint64_t sid = self->last_sid + 1;
    *new = (Subscription){.sid = sid,
                          .subject = subject,
                          .queue_group = queue_group,
                          .callback = Py_NewRef(callback),
                          .nargs = nargs,
                          .max_msgs = max_msgs};
    new->text.data = PyUnicode_AsUTF8AndSize(subject, &new->text.size);
    PyObject *frame = new->text.data ? subscribe_frame(self, new) : NULL;
    if (frame == NULL || table_reserve(&self->subscriptions) < 0) {
        Py_XDECREF(frame);
        subscription_free(new);
        return 0;
    }
    table_put(&self->subscriptions, sid, new);
    self->last_sid = sid;
    if (control_bytes(self, frame) < 0 ||
        (max_msgs && control_bytes(self, unsubscribe_frame(sid, max_msgs)) < 0)) {
        return 0;
    }
    return sid;
}

static PyObject *
wire_subscribe(Wire *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"subject", "callback", "nargs", "queue_group", "max_msgs", NULL};
    PyObject *subject, *callback, *queue_group = Py_None;
    int nargs;
    unsigned long long max_msgs = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOi|OK:subscribe", names, &subject, &callback,
                                     &nargs, &queue_group, &max_msgs)) {
        return NULL;
    }
    PyObject *group = NULL;
    if (queue_group != Py_None) {
        group = PyObject_CallOneArg(self->state->check_queue_group, queue_group);
        if (group == NULL) {
            return NULL;
        }
    }
    PyObject *checked = PyObject_CallOneArg(self->state->check_subscription, subject);
    if (checked == NULL) {
        Py_XDECREF(group);
        return NULL;
    }
    uint64_t sid = add_subscription(self, checked, group, callback, nargs, max_msgs);
    return sid ? PyLong_FromUnsignedLongLong(sid) : NULL;
}

/* The user's subscription that an argument names: NULL where there is none, or with an exception. */
static Subscription *
users(Wire *self, PyObject *sid)
{
    if (!PyLong_Check(sid)) {
        PyErr_Format(PyExc_TypeError, "sid must be int, not %s", Py_TYPE(sid)->tp_name);
        return NULL;
    }
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(sid, &overflow);
    if (number <= 0 || (uint64_t)number == self->inbox_sid) {
        return NULL;
    }
    return table_get(&self->subscriptions, (uint64_t)number);
}

static PyObject *
nothing_or_error(void)
{
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *
wire_unsubscribe(Wire *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"sid", "max_msgs", NULL};
    PyObject *number;
    unsigned long long max_msgs = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|K:unsubscribe", names, &number, &max_msgs)) {
        return NULL;
    }
    Subscription *subscription = users(self, number);
    if (subscription == NULL) {
        return nothing_or_error();
    }
    uint64_t sid = subscription->sid, rest = 0;
    if (max_msgs > subscription->delivered) {
        subscription->max_msgs = max_msgs;
        rest = max_msgs - subscription->base;
    }
    else {
        subscription_free(table_remove(&self->subscriptions, sid));
    }
    if (control_bytes(self, unsubscribe_frame(sid, rest)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
wire_callback(Wire *self, PyObject *sid)
{
    Subscription *subscription = users(self, sid);
    return subscription ? Py_NewRef(subscription->callback) : nothing_or_error();
}

static PyObject *
wire_replace(Wire *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"sid", "callback", "nargs", NULL};
    PyObject *sid, *callback;
    int nargs;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOi:replace", names, &sid, &callback, &nargs)) {
        return NULL;
    }
    Subscription *subscription = users(self, sid);
    if (subscription == NULL) {
        return nothing_or_error();
    }
    subscription->nargs = nargs;
    Py_SETREF(subscription->callback, Py_NewRef(callback));
    Py_RETURN_NONE;
}

static PyObject *
wire_sids(Wire *self, PyObject *Py_UNUSED(ignored))
{
    /* First the list: making one may collect garbage, and so end subscriptions. */
    PyObject *sids = PyList_New(0);
    Slot *sorted = sids ? table_sorted(&self->subscriptions) : NULL;
    if (sorted == NULL) {
        Py_CLEAR(sids);
    }
    for (Slot *each = sorted; sids != NULL && each->thing != NULL; each++) {
        if (each->number == self->inbox_sid) {
            continue;
        }
        PyObject *sid = PyLong_FromUnsignedLongLong(each->number);
        if (sid == NULL || PyList_Append(sids, sid) < 0) {
            Py_CLEAR(sids);
        }
        Py_XDECREF(sid);
    }
    PyMem_Free(sorted);
    return sids;
}

static int
append_restored(const Wire *self, Subscription *subscription, PyObject **frames)
{
    subscription->base = subscription->delivered;
    PyBytes_ConcatAndDel(frames, subscribe_frame(self, subscription));
    if (*frames != NULL && subscription->max_msgs) {
        uint64_t rest = subscription->max_msgs - subscription->base;
        PyBytes_ConcatAndDel(frames, unsubscribe_frame(subscription->sid, rest));
    }
    return *frames == NULL ? -1 : 0;
}

static PyObject *
wire_restore(Wire *self, PyObject *Py_UNUSED(ignored))
{
    Slot *sorted = table_sorted(&self->subscriptions);
    PyObject *frames = sorted ? PyBytes_FromStringAndSize(NULL, 0) : NULL;
    for (Slot *each = sorted; frames != NULL && each->thing != NULL; each++) {
        append_restored(self, each->thing, &frames);
    }
    PyMem_Free(sorted);
    return frames;
}

/* -- Control */

static PyObject *
wire_control(Wire *self, PyObject *frame)
{
    if (!PyBytes_Check(frame)) {
        return PyErr_Format(PyExc_TypeError, "a frame must be bytes, not %s", Py_TYPE(frame)->tp_name);
    }
    if (control(self, PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
wire_ping(Wire *self, PyObject *Py_UNUSED(ignored))
{
    if (append_frame(self, (Text){"PING\r\n", 6}) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(self->out.appended);
}

static PyObject *
wire_prepend(Wire *self, PyObject *data)
{
    if (!PyBytes_Check(data)) {
        return PyErr_Format(PyExc_TypeError, "data must be bytes, not %s", Py_TYPE(data)->tp_name);
    }
    Py_ssize_t pending = self->out.pending;
    Text text = {PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)};
    if (text.size && (out_prepend(&self->out, text) < 0 || tell_output(self, pending) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- The I/O side */

static PyObject *
wire_output(Wire *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"most", NULL};
    Py_ssize_t most = 1024 * 1024;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:output", names, &most)) {
        return NULL;
    }
    return self->live ? out_pieces(&self->out, self->state, most) : PyList_New(0);
}

static PyObject *
wire_sent(Wire *self, PyObject *number)
{
    Py_ssize_t size = PyLong_AsSsize_t(number);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (size < 0 || size > self->out.pending) {
        return PyErr_Format(PyExc_ValueError, "%zd bytes sent, but %zd were pending", size,
                            self->out.pending);
    }
    out_take(&self->out, size);
    Py_RETURN_NONE;
}

static PyObject *
wire_buffer(Wire *self, PyObject *Py_UNUSED(ignored))
{
    return in_buffer(&self->in, self->state);
}

static PyObject *
wire_received(Wire *self, PyObject *number)
{
    Py_ssize_t size = PyLong_AsSsize_t(number);
    if ((size == -1 && PyErr_Occurred()) || in_received(&self->in, size) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
wire_feed(Wire *self, PyObject *data)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    int failed = in_feed(&self->in, view.buf, view.len);
    PyBuffer_Release(&view);
    return failed < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
dispatch(Wire *self, Py_ssize_t budget)
{
    for (;;) {
        Message message;
        PyObject *event;
        if (self->in.dead == NULL) {
            if (in_finished(&self->in)) {
                Py_RETURN_NONE;
            }
            if (budget-- <= 0) {
                return Py_NewRef(self->state->yield);
            }
        }
        switch (in_next(&self->in, self->state, &message, &event)) {
        case IN_ERROR:
            return NULL;
        case IN_MORE:
            Py_RETURN_NONE;
        case IN_EVENT:
            return event;
        case IN_MESSAGE:
            if (deliver(self, &message) < 0) {
                return NULL;
            }
        }
    }
}

static PyObject *
wire_next_event(Wire *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"budget", NULL};
    Py_ssize_t budget = 256;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:next_event", names, &budget)) {
        return NULL;
    }
    if (self->dispatching) {
        Py_RETURN_NONE;
    }
    self->dispatching = 1;
    PyObject *event = dispatch(self, budget);
    self->dispatching = 0;
    return event;
}

/* -- The end of a connection */

static PyObject *
wire_lost(Wire *self, PyObject *Py_UNUSED(ignored))
{
    in_reset(&self->in);
    PyObject *gone = take_requests(self, out_sent(&self->out));
    out_rewind(&self->out);
    return gone;
}

static PyObject *
wire_clear_all(Wire *self, PyObject *Py_UNUSED(ignored))
{
    in_reset(&self->in);
    out_clear(&self->out);
    deadlines_clear(&self->deadlines);
    return take_requests(self, UINT64_MAX);
}

static PyObject *
wire_drop_larger(Wire *self, PyObject *number)
{
    Py_ssize_t limit = PyLong_AsSsize_t(number);
    return limit == -1 && PyErr_Occurred() ? NULL : drop_messages(self, limit);
}

static PyObject *
wire_skip(Wire *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *dropped = drop_messages(self, -1);
    PyObject *requests = dropped ? PyList_New(0) : NULL;
    for (Py_ssize_t i = 0; requests != NULL && i < PyList_GET_SIZE(dropped); i++) {
        PyObject *request = PyTuple_GET_ITEM(PyList_GET_ITEM(dropped, i), 1);
        if (request != Py_None && PyList_Append(requests, request) < 0) {
            Py_CLEAR(requests);
        }
    }
    Py_XDECREF(dropped);
    return requests;
}

/* -- Attributes */

static PyObject *
get_pending(Wire *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(self->out.pending);
}

static PyObject *
get_frames_appended(Wire *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(self->out.appended);
}

static PyObject *
get_frames_sent(Wire *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(out_sent(&self->out));
}

static PyObject *
get_waiting(Wire *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(out_waiting(&self->out));
}

static PyObject *
get_subscription_count(Wire *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(self->subscriptions.count - (self->inbox_sid != 0));
}

static PyObject *
get_refused(Wire *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->refused ? self->refused : Py_None);
}

static int
set_refused(Wire *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(self->refused, value == NULL || value == Py_None ? NULL : Py_NewRef(value));
    return 0;
}

static PyObject *
get_inbox(Wire *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->inbox);
}

static int
set_inbox(Wire *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyUnicode_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "inbox must be str");
        return -1;
    }
    return inbox_set(self, value);
}

static PyGetSetDef wire_getset[] = {
    {"pending", (getter)get_pending, NULL, NULL, NULL},
    {"frames_appended", (getter)get_frames_appended, NULL, NULL, NULL},
    {"frames_sent", (getter)get_frames_sent, NULL, NULL, NULL},
    {"waiting", (getter)get_waiting, NULL, NULL, NULL},
    {"subscription_count", (getter)get_subscription_count, NULL, NULL, NULL},
    {"refused", (getter)get_refused, (setter)set_refused, NULL, NULL},
    {"inbox", (getter)get_inbox, (setter)set_inbox, NULL, NULL},
    {"requests", (getter)get_requests, NULL, NULL, NULL},
    {NULL},
};

static PyMemberDef wire_members[] = {
    {"live", T_BOOL, offsetof(Wire, live), 0, NULL},
    {"headers", T_BOOL, offsetof(Wire, headers), 0, NULL},
    {"max_payload", T_PYSSIZET, offsetof(Wire, max_payload), 0, NULL},
    {"max_output", T_PYSSIZET, offsetof(Wire, max_output), 0, NULL},
    {"msgs_in", T_ULONGLONG, offsetof(Wire, msgs_in), 0, NULL},
    {"msgs_out", T_ULONGLONG, offsetof(Wire, msgs_out), 0, NULL},
    {"bytes_in", T_ULONGLONG, offsetof(Wire, bytes_in), 0, NULL},
    {"bytes_out", T_ULONGLONG, offsetof(Wire, bytes_out), 0, NULL},
    {NULL},
};

#define FAST_DOC(function, doc) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS, doc
#define FAST(function) FAST_DOC(function, NULL)
#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS, NULL
#define ONE(function) (PyCFunction)(function), METH_O, NULL
#define NO(function) (PyCFunction)(function), METH_NOARGS, NULL

static PyMethodDef wire_methods[] = {
    {"publish", FAST_DOC(wire_publish, "publish($self, subject, payload=b'', reply_to=None)\n--\n\n"
                                       "See Nats.publish.")},
    {"hpublish",
     FAST_DOC(wire_hpublish, "hpublish($self, subject, headers, payload=b'', reply_to=None)\n--\n\n"
                             "See Nats.hpublish.")},
    {"subscribe", KEYWORDS(wire_subscribe)},
    {"unsubscribe", KEYWORDS(wire_unsubscribe)},
    {"callback", ONE(wire_callback)},
    {"replace", KEYWORDS(wire_replace)},
    {"sids", NO(wire_sids)},
    {"restore", NO(wire_restore)},
    {"request", FAST(wire_request)},
    {"expect", ONE(wire_expect)},
    {"forget", ONE(wire_forget)},
    {"expired", NO(wire_expired)},
    {"wait", NO(wire_wait)},
    {"control", ONE(wire_control)},
    {"ping", NO(wire_ping)},
    {"prepend", ONE(wire_prepend)},
    {"output", KEYWORDS(wire_output)},
    {"sent", ONE(wire_sent)},
    {"buffer", NO(wire_buffer)},
    {"received", ONE(wire_received)},
    {"feed", ONE(wire_feed)},
    {"next_event", KEYWORDS(wire_next_event)},
    {"lost", NO(wire_lost)},
    {"clear", NO(wire_clear_all)},
    {"drop_larger", ONE(wire_drop_larger)},
    {"skip", NO(wire_skip)},
    {NULL},
};

/* -- Life */

static void
request_free(void *request)
{
    Py_DECREF((PyObject *)request);
}

static PyObject *
wire_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"on_output", "on_exception", "on_deadline", NULL};
    PyObject *on_output, *on_exception, *on_deadline = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:Wire", names, &on_output, &on_exception,
                                     &on_deadline)) {
        return NULL;
    }
    Wire *self = (Wire *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = PyType_GetModuleState(type);
    self->on_output = Py_NewRef(on_output);
    self->on_exception = Py_NewRef(on_exception);
    self->on_deadline = Py_NewRef(on_deadline);
    self->headers = 1;
    self->max_payload = 1024 * 1024;
    self->max_output = 64 * 1024 * 1024;
    out_init(&self->out);
    deadlines_clear(&self->deadlines);
    if (in_init(&self->in) < 0 || inbox_set(self, self->state->empty) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
wire_traverse(Wire *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->on_output);
    Py_VISIT(self->on_exception);
    Py_VISIT(self->on_deadline);
    Py_VISIT(self->refused);
    Py_VISIT(self->in.dead);
    for (size_t i = 0; i < self->requests.capacity; i++) {
        Py_VISIT(self->requests.slots[i].thing);
    }
    for (size_t i = 0; i < self->subscriptions.capacity; i++) {
        Subscription *subscription = self->subscriptions.slots[i].thing;
        Py_VISIT(subscription ? subscription->callback : NULL);
    }
    return 0;
}

static void
set_to_none(PyObject **place)
{
    PyObject *old = *place;
    *place = Py_NewRef(Py_None);
    Py_XDECREF(old);
}

static int
wire_gc_clear(Wire *self)
{
    /* Only what can lead back to the wire; the rest is needed as long as somebody can call it. */
    set_to_none(&self->on_output);
    set_to_none(&self->on_exception);
    set_to_none(&self->on_deadline);
    Py_CLEAR(self->refused);
    table_clear(&self->requests, request_free);
    table_clear(&self->subscriptions, subscription_free);
    self->inbox_sid = 0;
    return 0;
}

static void
wire_dealloc(Wire *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    wire_gc_clear(self);
    Py_CLEAR(self->on_output);
    Py_CLEAR(self->on_exception);
    Py_CLEAR(self->on_deadline);
    Py_CLEAR(self->inbox);
    PyMem_Free(self->reply);
    deadlines_clear(&self->deadlines);
    out_free(&self->out);
    in_free(&self->in);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot wire_slots[] = {
    {Py_tp_doc, "The protocol of one client. See natsev.wire.pure.Wire."},
    {Py_tp_new, wire_new},
    {Py_tp_traverse, wire_traverse},
    {Py_tp_clear, wire_gc_clear},
    {Py_tp_dealloc, wire_dealloc},
    {Py_tp_methods, wire_methods},
    {Py_tp_getset, wire_getset},
    {Py_tp_members, wire_members},
    {0, NULL},
};

PyType_Spec wire_spec = {
    .name = "natsev.wire._speedups.Wire",
    .basicsize = sizeof(Wire),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = wire_slots,
};
