/* The wire of natsev, compiled: the whole path of a message in one call from Python.

   pure.py is its twin and its specification: the same classes with the same behaviour and the same tests.
   What differs is what happens between two lines of Python:

   Receiving (input, deliver). Received bytes are parsed in place, in the buffer that the socket
   filled. A message becomes as many Python objects as its callback takes arguments, made straight
   from the buffer, and the callback is called with them; then comes the next message. A large
   payload is received into the bytes object that its callback gets.

   Sending (publish, output). publish() checks its arguments and writes the frame into a chunk of memory,
   all in one pass; a large payload stays where it is. Memoryviews of the chunks go to sendmsg.

   Who may be called back. The user's callbacks, on_output, on_exception, and the little that is left
   to Python: encoding of headers, the checks of subscriptions and of unusual subjects, the making of
   errors. Any of these may call the wire again. So each function takes what it needs, leaves the
   wire in order, and only then calls; afterwards it looks at everything anew. An object is dropped
   only once nothing leads to it, since a destructor may call too.

   Several interpreters: there is no global state. Types, and what is imported, are in the module's
   state, to which each Wire has a pointer. A Wire belongs to one thread, as its loop does. Builds
   without the GIL switch it on for this module. */

#include "_speedups.h"

typedef struct {
    size_t place; /* in State */
    const char *module, *name;
} Import;

static const Import imports[] = {
    {offsetof(State, headers), "natsev.headers", "Headers"},
    {offsetof(State, encode_headers), "natsev.headers", "encode_headers"},
    {offsetof(State, check_subject), "natsev.subjects", "check_subject"},
    {offsetof(State, check_subscription), "natsev.subjects", "check_subscription"},
    {offsetof(State, check_queue_group), "natsev.subjects", "check_queue_group"},
    {offsetof(State, buffer_full_error), "natsev.errors", "BufferFullError"},
    {offsetof(State, max_payload_error), "natsev.errors", "MaxPayloadError"},
    {offsetof(State, nats_error), "natsev.errors", "NatsError"},
    {offsetof(State, no_responders), "natsev.errors", "NoResponders"},
    {offsetof(State, protocol_error), "natsev.errors", "ProtocolError"},
    {offsetof(State, make_protocol_error), "natsev.wire.shared", "protocol_error"},
    {offsetof(State, make_line_too_long), "natsev.wire.shared", "line_too_long"},
    {offsetof(State, check_timeout), "natsev.wire.shared", "check_timeout"},
    {offsetof(State, arity), "natsev.callbacks", "arity"},
    {offsetof(State, delivery), "natsev.wire.shared", "Delivery"},
    {offsetof(State, parse_delivery), "natsev.wire.shared", "parse_delivery"},
    {offsetof(State, info), "natsev.wire.events", "Info"},
    {offsetof(State, err), "natsev.wire.events", "Err"},
    {offsetof(State, ping), "natsev.wire.events", "Ping"},
    {offsetof(State, pong), "natsev.wire.events", "Pong"},
    {offsetof(State, ok), "natsev.wire.events", "Ok"},
    {offsetof(State, yield), "natsev.wire.events", "YIELD"},
};

static int
import_all(State *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(imports); i++) {
        PyObject *module = PyImport_ImportModule(imports[i].module);
        if (module == NULL) {
            return -1;
        }
        PyObject *found = PyObject_GetAttrString(module, imports[i].name);
        Py_DECREF(module);
        if (found == NULL) {
            return -1;
        }
        *(PyObject **)((char *)state + imports[i].place) = found;
    }
    return 0;
}

static const struct {
    size_t place; /* in State */
    const char *text;
} names[] = {
    {offsetof(State, empty), ""},
    {offsetof(State, tobytes), "tobytes"},
    {offsetof(State, end), "end"},
    {offsetof(State, stream), "stream"},
    {offsetof(State, seq), "seq"},
    {offsetof(State, duplicate), "duplicate"},
};

static int
intern_all(State *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *name = PyUnicode_InternFromString(names[i].text);
        if (name == NULL) {
            return -1;
        }
        *(PyObject **)((char *)state + names[i].place) = name;
    }
    return 0;
}

static int
module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->wire_type = PyType_FromModuleAndSpec(module, &wire_spec, NULL);
    state->request_type = PyType_FromModuleAndSpec(module, &request_spec, NULL);
    state->window_type = PyType_FromModuleAndSpec(module, &window_spec, NULL);
    state->room_type = PyType_FromModuleAndSpec(module, &room_spec, NULL);
    if (state->wire_type == NULL || state->request_type == NULL || state->window_type == NULL ||
        state->room_type == NULL || intern_all(state) < 0 || import_all(state) < 0) {
        return -1;
    }
    if (PyModule_AddType(module, (PyTypeObject *)state->wire_type) < 0 ||
        PyModule_AddType(module, (PyTypeObject *)state->request_type) < 0) {
        return -1;
    }
    return PyModule_AddType(module, (PyTypeObject *)state->window_type);
}

static PyObject **
objects_of(PyObject *module)
{
    return (PyObject **)PyModule_GetState(module);
}

static const size_t OBJECTS = sizeof(State) / sizeof(PyObject *);

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        Py_VISIT(objects_of(module)[i]);
    }
    return 0;
}

static int
module_clear(PyObject *module)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        Py_CLEAR(objects_of(module)[i]);
    }
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
}

static PyMethodDef module_methods[] = {
    {"parse_delivery", parse_delivery, METH_O, "See natsev.wire.shared.parse_delivery."},
    {"parse_puback", parse_puback, METH_O, "See natsev.wire.shared.parse_puback."},
    {"arity", (PyCFunction)(void (*)(void))arity_function, METH_FASTCALL, "See natsev.callbacks.arity."},
    {NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "natsev.wire._speedups",
    .m_doc = "The compiled twin of natsev.wire.pure.",
    .m_size = sizeof(State),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&module_def);
}
