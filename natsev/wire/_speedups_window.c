/* Window: what several requests have in common whose acknowledgements are only counted. */

#include "_speedups.h"

static PyObject *
window_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *callback;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Window() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_UnpackTuple(args, "Window", 1, 1, &callback)) {
        return NULL;
    }
    Window *self = (Window *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->callback = Py_NewRef(callback);
    }
    return (PyObject *)self;
}

static int
window_traverse(Window *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->callback);
    return 0;
}

static int
window_clear(Window *self)
{
    /* Not left empty: a request that comes to its end may still call it. */
    PyObject *callback = self->callback;
    self->callback = Py_NewRef(Py_None);
    Py_XDECREF(callback);
    return 0;
}

static void
window_dealloc(Window *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->callback);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef window_members[] = {
    {"waiting", T_PYSSIZET, offsetof(Window, waiting), READONLY, NULL},
    {"low", T_PYSSIZET, offsetof(Window, low), 0, NULL},
    {NULL},
};

static PyType_Slot window_slots[] = {
    {Py_tp_doc, "Requests whose acknowledgements are counted. See natsev.wire.pure.Window."},
    {Py_tp_new, window_new},
    {Py_tp_traverse, window_traverse},
    {Py_tp_clear, window_clear},
    {Py_tp_dealloc, window_dealloc},
    {Py_tp_members, window_members},
    {0, NULL},
};

PyType_Spec window_spec = {
    .name = "natsev.wire._speedups.Window",
    .basicsize = sizeof(Window),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = window_slots,
};
