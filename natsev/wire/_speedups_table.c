/* The user's subscriptions by sid: open addressing, linear probing. Sids count up from 1, so a sid's low
   bits are its place, and neighbours seldom meet. */

#include "_speedups.h"

static size_t
home(const Table *table, uint64_t sid)
{
    return (size_t)sid & (table->capacity - 1);
}

static size_t
next(const Table *table, size_t i)
{
    return (i + 1) & (table->capacity - 1);
}

/* Where *sid* is, or the free slot where it would be. */
static size_t
find(const Table *table, uint64_t sid)
{
    size_t i = home(table, sid);
    while (table->slots[i] != NULL && table->slots[i]->sid != sid) {
        i = next(table, i);
    }
    return i;
}

static int
grow(Table *table)
{
    Table bigger = {NULL, table->count, table->capacity ? 2 * table->capacity : 8};
    bigger.slots = PyMem_Calloc(bigger.capacity, sizeof(*bigger.slots));
    if (bigger.slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i] != NULL) {
            bigger.slots[find(&bigger, table->slots[i]->sid)] = table->slots[i];
        }
    }
    PyMem_Free(table->slots);
    *table = bigger;
    return 0;
}

int
table_add(Table *table, Subscription *subscription)
{
    if (2 * (table->count + 1) > table->capacity && grow(table) < 0) {
        return -1;
    }
    table->slots[find(table, subscription->sid)] = subscription;
    table->count++;
    return 0;
}

Subscription *
table_get(const Table *table, uint64_t sid)
{
    return table->capacity ? table->slots[find(table, sid)] : NULL;
}

/* Take *sid* out; the caller owns what it gets. */
Subscription *
table_remove(Table *table, uint64_t sid)
{
    if (table_get(table, sid) == NULL) {
        return NULL;
    }
    size_t hole = find(table, sid);
    Subscription *removed = table->slots[hole];
    /* Move back what is only where it is because this slot was taken. */
    for (size_t i = next(table, hole); table->slots[i] != NULL; i = next(table, i)) {
        size_t distance_home = (i - home(table, table->slots[i]->sid)) & (table->capacity - 1);
        size_t distance_hole = (i - hole) & (table->capacity - 1);
        if (distance_home >= distance_hole) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    table->slots[hole] = NULL;
    table->count--;
    return removed;
}

static int
by_sid(const void *a, const void *b)
{
    uint64_t one = (*(Subscription *const *)a)->sid, other = (*(Subscription *const *)b)->sid;
    return one < other ? -1 : one > other;
}

Subscription **
table_sorted(const Table *table)
{
    Subscription **sorted = PyMem_Calloc(table->count + 1, sizeof(*sorted));
    if (sorted == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    size_t count = 0;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i] != NULL) {
            sorted[count++] = table->slots[i];
        }
    }
    qsort(sorted, count, sizeof(*sorted), by_sid);
    return sorted;
}

int
table_traverse(const Table *table, visitproc visit, void *arg)
{
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i] != NULL) {
            Py_VISIT(table->slots[i]->callback);
        }
    }
    return 0;
}

void
table_clear(Table *table)
{
    /* What is freed may run anybody's code, which then finds an empty table. */
    Table old = *table;
    *table = (Table){NULL, 0, 0};
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i] != NULL) {
            subscription_free(old.slots[i]);
        }
    }
    PyMem_Free(old.slots);
}

void
subscription_free(Subscription *subscription)
{
    PyObject *callback = subscription->callback;
    Py_DECREF(subscription->subject);
    Py_XDECREF(subscription->queue_group);
    PyMem_Free(subscription);
    Py_DECREF(callback);
}
