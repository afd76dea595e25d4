/* Request: one awaited reply, or several. */

#include "_speedups.h"

static PyObject *
request_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    Request *self = (Request *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->callback = Py_NewRef(Py_None);
    self->token = PyUnicode_FromString("");
    if (self->token == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
request_init(Request *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"callback", "nargs", "multi", NULL};
    PyObject *callback;
    int nargs, multi = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi|p:Request", names, &callback, &nargs, &multi)) {
        return -1;
    }
    Py_SETREF(self->callback, Py_NewRef(callback));
    self->nargs = nargs;
    self->multi = (char)multi;
    return 0;
}

static int
request_traverse(Request *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->callback);
    return 0;
}

static int
request_clear(Request *self)
{
    /* Not left empty: who still has it may call it. */
    PyObject *callback = self->callback;
    self->callback = Py_NewRef(Py_None);
    Py_XDECREF(callback);
    return 0;
}

static void
request_dealloc(Request *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->callback);
    Py_CLEAR(self->token);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
get_callback(Request *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->callback);
}

static int
set_callback(Request *self, PyObject *callback, void *Py_UNUSED(closure))
{
    if (callback == NULL) {
        PyErr_SetString(PyExc_AttributeError, "callback cannot be deleted");
        return -1;
    }
    Py_SETREF(self->callback, Py_NewRef(callback));
    return 0;
}

static PyObject *
get_token(Request *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->token);
}

static int
set_token(Request *self, PyObject *token, void *Py_UNUSED(closure))
{
    if (token == NULL || !PyUnicode_Check(token)) {
        PyErr_SetString(PyExc_TypeError, "token must be str");
        return -1;
    }
    Py_SETREF(self->token, Py_NewRef(token));
    return 0;
}

static PyGetSetDef request_getset[] = {
    {"callback", (getter)get_callback, (setter)set_callback, NULL, NULL},
    {"token", (getter)get_token, (setter)set_token, NULL, NULL},
    {NULL},
};

static PyMemberDef request_members[] = {
    {"nargs", T_INT, offsetof(Request, nargs), 0, NULL},
    {"multi", T_BOOL, offsetof(Request, multi), 0, NULL},
    {"frame", T_ULONGLONG, offsetof(Request, frame), 0, NULL},
    {NULL},
};

static PyType_Slot request_slots[] = {
    {Py_tp_doc, "One awaited reply, or several. See natsev.wire.pure.Request."},
    {Py_tp_new, request_new},
    {Py_tp_init, request_init},
    {Py_tp_traverse, request_traverse},
    {Py_tp_clear, request_clear},
    {Py_tp_dealloc, request_dealloc},
    {Py_tp_getset, request_getset},
    {Py_tp_members, request_members},
    {0, NULL},
};

PyType_Spec request_spec = {
    .name = "natsev.wire._speedups.Request",
    .basicsize = sizeof(Request),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = request_slots,
};
