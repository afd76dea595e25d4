/* How many arguments a callback takes. callbacks.py says the rules; here are only functions and
   methods, which nearly all callbacks are. */

#include "_speedups.h"

/* Arguments that a plain function takes, without *bound* ones; -1: not so plain. */
static int
plain_arity(PyObject *callback, int bound, int passed)
{
    PyFunctionObject *function = (PyFunctionObject *)callback;
    PyCodeObject *code = (PyCodeObject *)function->func_code;
    int accepted = code->co_argcount - bound;
    /* Among a function's own attributes may be the __wrapped__ of a decorator. */
    int decorated = function->func_dict != NULL && PyDict_GET_SIZE(function->func_dict) != 0;
    if (decorated || code->co_kwonlyargcount || code->co_flags & CO_VARARGS || accepted < 0) {
        return -1;
    }
    PyObject *defaults = function->func_defaults;
    int required = accepted - (defaults ? (int)PyTuple_GET_SIZE(defaults) : 0);
    if (required > passed) {
        return -1; /* callbacks.py has the words for that */
    }
    return accepted < passed ? accepted : passed;
}

int
arity(State *state, PyObject *callback, int passed)
{
    int found = -1;
    if (PyFunction_Check(callback)) {
        found = plain_arity(callback, 0, passed);
    }
    else if (PyMethod_Check(callback) && PyFunction_Check(PyMethod_GET_FUNCTION(callback))) {
        found = plain_arity(PyMethod_GET_FUNCTION(callback), 1, passed);
    }
    if (found >= 0) {
        return found;
    }
    PyObject *number = PyObject_CallFunction(state->arity, "Oi", callback, passed);
    if (number == NULL) {
        return -1;
    }
    found = (int)PyLong_AsLong(number);
    Py_DECREF(number);
    return found;
}

PyObject *
arity_function(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        return PyErr_Format(PyExc_TypeError, "arity() takes 2 arguments (%zd given)", nargs);
    }
    long passed = PyLong_AsLong(args[1]);
    if (passed == -1 && PyErr_Occurred()) {
        return NULL;
    }
    int found = arity(PyModule_GetState(module), args[0], (int)passed);
    return found < 0 ? NULL : PyLong_FromLong(found);
}
