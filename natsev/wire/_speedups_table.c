/* Things by number: open addressing, linear probing. The numbers count up from 1, and a product with
   the golden ratio spreads such: its high bits are a number's place. Neighbours in place would not do:
   who takes one out looks at all up to the next free slot. */

#include "_speedups.h"

static size_t
home(const Table *table, uint64_t number)
{
    return (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> table->shift);
}

static size_t
next(const Table *table, size_t i)
{
    return (i + 1) & (table->capacity - 1);
}

/* Where *number* is, or the free slot where it would be. */
static size_t
find(const Table *table, uint64_t number)
{
    size_t i = home(table, number);
    while (table->slots[i].thing != NULL && table->slots[i].number != number) {
        i = next(table, i);
    }
    return i;
}

static int
grow(Table *table)
{
    Table bigger = {NULL, table->count, 2 * table->capacity, table->shift - 1};
    if (table->capacity == 0) {
        bigger.capacity = 8;
        bigger.shift = 64 - 3;
    }
    bigger.slots = PyMem_Calloc(bigger.capacity, sizeof(*bigger.slots));
    if (bigger.slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].thing != NULL) {
            bigger.slots[find(&bigger, table->slots[i].number)] = table->slots[i];
        }
    }
    PyMem_Free(table->slots);
    *table = bigger;
    return 0;
}

int
table_reserve(Table *table)
{
    return 2 * (table->count + 1) > table->capacity ? grow(table) : 0;
}

void
table_put(Table *table, uint64_t number, void *thing)
{
    table->slots[find(table, number)] = (Slot){number, thing};
    table->count++;
}

void *
table_get(const Table *table, uint64_t number)
{
    return table->capacity ? table->slots[find(table, number)].thing : NULL;
}

/* Take *number* out; the caller owns what it gets. */
void *
table_remove(Table *table, uint64_t number)
{
    if (table_get(table, number) == NULL) {
        return NULL;
    }
    size_t hole = find(table, number);
    void *removed = table->slots[hole].thing;
    /* Move back what is only where it is because this slot was taken. */
    for (size_t i = next(table, hole); table->slots[i].thing != NULL; i = next(table, i)) {
        size_t distance_home = (i - home(table, table->slots[i].number)) & (table->capacity - 1);
        size_t distance_hole = (i - hole) & (table->capacity - 1);
        if (distance_home >= distance_hole) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    table->slots[hole].thing = NULL;
    table->count--;
    return removed;
}

static int
by_number(const void *a, const void *b)
{
    uint64_t one = ((const Slot *)a)->number, other = ((const Slot *)b)->number;
    return one < other ? -1 : one > other;
}

Slot *
table_sorted(const Table *table)
{
    Slot *sorted = PyMem_Calloc(table->count + 1, sizeof(*sorted));
    if (sorted == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    size_t count = 0;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].thing != NULL) {
            sorted[count++] = table->slots[i];
        }
    }
    qsort(sorted, count, sizeof(*sorted), by_number);
    return sorted;
}

void
table_clear(Table *table, void (*drop)(void *))
{
    /* What is dropped may run anybody's code, which then finds an empty table. */
    Table old = *table;
    *table = (Table){NULL, 0, 0, 0};
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].thing != NULL) {
            drop(old.slots[i].thing);
        }
    }
    PyMem_Free(old.slots);
}
