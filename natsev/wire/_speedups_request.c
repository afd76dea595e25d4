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
    self->deadline = INFINITY;
    return (PyObject *)self;
}

static int
as_int(PyObject *object, int *number)
{
    long value = object ? PyLong_AsLong(object) : 0;
    *number = (int)value;
    return value == -1 && PyErr_Occurred() ? -1 : 0;
}

static int
request_init(Request *self, PyObject *args, PyObject *kwargs)
{
    PyObject *callback, *nargs, *multi = NULL, *reads = NULL;
    int is_multi, form;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Request() takes no keyword arguments");
        return -1;
    }
    if (!PyArg_UnpackTuple(args, "Request", 2, 4, &callback, &nargs, &multi, &reads) ||
        as_int(nargs, &self->nargs) < 0 || as_int(reads, &form) < 0 ||
        (is_multi = multi ? PyObject_IsTrue(multi) : 0) < 0) {
        return -1;
    }
    self->multi = (char)is_multi;
    self->reads = (char)form;
    Py_SETREF(self->callback, Py_NewRef(callback));
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
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
request_end(Request *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != REPLY_ARGS) {
        return PyErr_Format(PyExc_TypeError, "end() takes %d arguments (%zd given)", REPLY_ARGS, nargs);
    }
    PyObject *callback = Py_NewRef(self->callback);
    int wanted = self->nargs < REPLY_ARGS ? self->nargs : REPLY_ARGS;
    size_t taken = wanted > 0 ? (size_t)wanted : 0;
    PyObject *result = PyObject_Vectorcall(callback, args, taken, NULL);
    Py_DECREF(callback);
    return result;
}

static PyObject *
request_left(Request *self, PyObject *Py_UNUSED(ignored))
{
    return PyFloat_FromDouble(self->deadline - seconds_now());
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
    return request_token(self);
}

static PyGetSetDef request_getset[] = {
    {"callback", (getter)get_callback, (setter)set_callback, NULL, NULL},
    {"token", (getter)get_token, NULL, NULL, NULL},
    {NULL},
};

static PyMemberDef request_members[] = {
    {"nargs", T_INT, offsetof(Request, nargs), 0, NULL},
    {"multi", T_BOOL, offsetof(Request, multi), 0, NULL},
    {"reads", T_BYTE, offsetof(Request, reads), READONLY, NULL},
    {"frame", T_ULONGLONG, offsetof(Request, frame), 0, NULL},
    {"seq", T_ULONGLONG, offsetof(Request, seq), 0, NULL},
    {NULL},
};

static PyMethodDef request_methods[] = {
    {"end", (PyCFunction)(void (*)(void))request_end, METH_FASTCALL, NULL},
    {"left", (PyCFunction)request_left, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot request_slots[] = {
    {Py_tp_doc, "One awaited reply, or several. See natsev.wire.pure.Request."},
    {Py_tp_new, request_new},
    {Py_tp_init, request_init},
    {Py_tp_traverse, request_traverse},
    {Py_tp_clear, request_clear},
    {Py_tp_dealloc, request_dealloc},
    {Py_tp_methods, request_methods},
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
