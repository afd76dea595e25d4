/* A part of a bytes object as a buffer: where to receive, or what to send. It keeps the object alive
   for as long as a memoryview of it exists. */

#include "_speedups.h"

typedef struct {
    PyObject_HEAD
    PyObject *owner;
    char *data;
    Py_ssize_t size;
    int readonly;
} Room;

PyObject *
room_view(State *state, PyObject *owner, char *data, Py_ssize_t size, int readonly)
{
    Room *room = PyObject_New(Room, (PyTypeObject *)state->room_type);
    if (room == NULL) {
        return NULL;
    }
    room->owner = Py_NewRef(owner);
    room->data = data;
    room->size = size;
    room->readonly = readonly;
    PyObject *view = PyMemoryView_FromObject((PyObject *)room);
    Py_DECREF(room);
    return view;
}

static int
room_getbuffer(Room *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->data, self->size, self->readonly, flags);
}

static void
room_dealloc(Room *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_DECREF(self->owner);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot room_slots[] = {
    {Py_tp_dealloc, room_dealloc},
    {Py_bf_getbuffer, room_getbuffer},
    {0, NULL},
};

PyType_Spec room_spec = {
    .name = "natsev.wire._speedups._Room",
    .basicsize = sizeof(Room),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = room_slots,
};
